package main

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/kezi-io/kezi/pkg/btyd"
)

// dataset is a gzipped CSV file with the columns customer_id, date, units and amount_cents.
type dataset struct {
	path string
	real bool // the published file, not one made up
}

const (
	masterName      = "cdnow_master.csv.gz"
	masterCustomers = 23_570
	masterDays      = 546 // 1997-01-01 to 1998-06-30
)

var masterFirst = time.Date(1997, 1, 1, 0, 0, 0, 0, time.UTC)

// cdnow is the CDNOW master from shared/data beside the repository; where it is not, one of the same shape is made in dir.
func cdnow(dir string) (dataset, error) {
	at, err := os.Getwd()
	if err != nil {
		return dataset{}, err
	}
	for ; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			path := filepath.Join(at, "..", "shared", "data", masterName)
			if _, err := os.Stat(path); err == nil {
				return dataset{path, true}, nil
			}
			break
		}
		if at == filepath.Dir(at) {
			break
		}
	}
	d := dataset{path: filepath.Join(dir, masterName)}
	return d, writeGzip(d.path, makeUp)
}

// writeGzip makes a file of what write writes.
func writeGzip(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	packed := gzip.NewWriter(f)
	text := bufio.NewWriter(packed)
	return errors.Join(write(text), text.Flush(), packed.Close(), f.Close())
}

// makeUp writes transactions of customers drawn from the model that fits the real ones.
func makeUp(w io.Writer) error {
	random := rand.New(rand.NewPCG(1997, 1998))
	ages := make([]float64, masterCustomers)
	for i := range ages {
		ages[i] = float64(masterDays-1-random.IntN(84)) / btyd.Week
	}
	if _, err := io.WriteString(w, "customer_id,date,units,amount_cents\n"); err != nil {
		return err
	}
	for i, c := range btyd.Simulate(btyd.MBGNBD{R: 0.525, Alpha: 6.183, A: 0.891, B: 1.614}, 1, ages, 0) {
		first := masterDays - 1 - int(math.Round(c.T*btyd.Week))
		level := math.Exp(3.3 + 0.6*random.NormFloat64())
		for n := range int(c.X) + 1 {
			week := c.Tx * float64(n) / max(c.X, 1)
			day := masterFirst.AddDate(0, 0, first+int(week*btyd.Week))
			units := 1 + int(random.ExpFloat64())
			cents := int(100 * level * math.Exp(0.4*random.NormFloat64()))
			if _, err := fmt.Fprintf(w, "%05d,%s,%d,%d\n", i+1, day.Format(time.DateOnly), units, cents); err != nil {
				return err
			}
		}
	}
	return nil
}

// times is the file repeated, each time with customers of their own.
func (d dataset) times(n int, path string) error {
	return writeGzip(path, func(w io.Writer) error {
		for i := range n {
			err := d.read(func(r io.Reader) error {
				lines := bufio.NewScanner(r)
				for first := true; lines.Scan(); first = false {
					if first {
						if i == 0 {
							fmt.Fprintf(w, "%s\n", lines.Bytes()) //nolint:errcheck // the flush at the end reports it
						}
						continue
					}
					fmt.Fprintf(w, "%d-%s\n", i, lines.Bytes()) //nolint:errcheck // the flush at the end reports it
				}
				return lines.Err()
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// read hands the unpacked file to fn.
func (d dataset) read(fn func(io.Reader) error) error {
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it is only read
	plain, err := gzip.NewReader(bufio.NewReader(f))
	if err != nil {
		return err
	}
	return fn(plain)
}

// purchases are the rows, in dollars.
func (d dataset) purchases() ([]btyd.Purchase, error) {
	var all []btyd.Purchase
	err := d.read(func(r io.Reader) error {
		rows := csv.NewReader(r)
		if _, err := rows.Read(); err != nil {
			return err
		}
		for {
			row, err := rows.Read()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			day, err := time.Parse(time.DateOnly, row[1])
			if err != nil {
				return err
			}
			cents, err := strconv.Atoi(row[3])
			if err != nil {
				return err
			}
			all = append(all, btyd.Purchase{Customer: row[0], At: day, Value: float64(cents) / 100})
		}
	})
	return all, err
}
