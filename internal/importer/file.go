package importer

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/transform"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/nearest"
)

// file is the uploaded file, open for reading from its beginning.
type file struct {
	csv     *csvReader
	header  []string
	columns []column // that are mapped, in the order of fieldsOf
	counted *counter
	rows    int64 // data rows read

	line []byte // scratch of hash
}

// column is a mapped field.
type column struct {
	field  string
	header string
	at     int // in the row
}

// counter counts the unpacked bytes read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// open reads up to the header. It fails with one of the faults of a whole file.
func open(src io.Reader, im Import) (*file, error) {
	if im.gzipped {
		plain, err := gzip.NewReader(src)
		if err != nil {
			return nil, err // the upload saw that it was whole
		}
		src = plain
	}
	f := &file{counted: &counter{r: src}}
	text := io.Reader(bufio.NewReaderSize(f.counted, 32<<10))
	if im.Encoding == GB18030 {
		text = bufio.NewReaderSize(transform.NewReader(text, simplifiedchinese.GB18030.NewDecoder()), 32<<10)
	}
	buffered := text.(*bufio.Reader)
	mark, err := buffered.Peek(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if bytes.HasPrefix(mark, []byte{0xFF, 0xFE}) || bytes.HasPrefix(mark, []byte{0xFE, 0xFF}) {
		return nil, ErrNotUTF8.Because("the file is UTF-16; save it as CSV in UTF-8, or in GB18030 and declare encoding gb18030",
			"文件是 UTF-16 编码；请另存为 UTF-8 编码的 CSV，或存为 GB18030 并声明 encoding 为 gb18030")
	}
	if bytes.Equal(mark, []byte("\uFEFF")) { // the byte order mark that spreadsheets put before UTF-8
		if _, err := buffered.Discard(3); err != nil {
			return nil, err
		}
	}
	f.csv = newCSVReader(buffered)
	if err := f.readHeader(im); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *file) readHeader(im Import) error {
	rec, err := f.csv.next()
	switch {
	case errors.Is(err, io.EOF):
		return ErrEmpty
	case err != nil:
		return err
	case rec.wrong != nil:
		return ErrHeader.Because("the header is not a line of CSV: "+rec.wrong.Detail.En, "表头不是合法的 CSV 行："+rec.wrong.Detail.Zh)
	}
	if err := checkEncoding(rec, im.Encoding); err != nil {
		return err
	}
	for _, name := range rec.fields {
		f.header = append(f.header, strings.TrimSpace(string(name)))
	}
	for i, name := range f.header {
		if first := slices.Index(f.header, name); first < i && name != "" {
			return ErrColumnTwice.Because("columns "+strconv.Itoa(first+1)+" and "+strconv.Itoa(i+1)+" are both named "+shown(name),
				"第 "+strconv.Itoa(first+1)+" 列与第 "+strconv.Itoa(i+1)+" 列同名："+shown(name))
		}
	}
	for _, field := range mapped(im) {
		name := strings.TrimSpace(im.Mapping[field])
		at := slices.Index(f.header, name)
		if at < 0 {
			en, zh := "the file has no column "+shown(name)+", which "+field+" is mapped to",
				"文件中没有列 "+shown(name)+"（"+field+" 映射到该列）"
			if near := nearest.Of(name, f.header); near != "" {
				en, zh = en+"; did you mean "+shown(near)+"?", zh+"；是否想用 "+shown(near)+"？"
			}
			return ErrColumnMissing.Because(en, zh)
		}
		f.columns = append(f.columns, column{field, name, at})
	}
	return nil
}

// mapped are the fields that an import maps, in the order in which a row's hash takes them: those of the type, then
// those of its families.
func mapped(im Import) []string {
	known := slices.DeleteFunc(slices.Clone(fieldsOf[im.Type]), func(field string) bool {
		_, given := im.Mapping[field]
		return !given
	})
	for _, field := range slices.Sorted(maps.Keys(im.Mapping)) {
		if !slices.Contains(known, field) {
			known = append(known, field)
		}
	}
	return known
}

// shown is a header for a message: headers may be as long as a row.
func shown(name string) string {
	if r := []rune(name); len(r) > 60 {
		name = string(r[:60]) + "…"
	}
	return strconv.Quote(name)
}

// checkEncoding fails with ErrNotUTF8 or ErrNotGB18030 when the row's bytes are not in the declared encoding. Rows
// are whole characters, for no byte of a longer one is a line feed in either encoding.
func checkEncoding(rec record, encoding string) error {
	line := strconv.FormatInt(rec.line, 10)
	if encoding == GB18030 {
		// What the decoder could not read it replaced.
		if bytes.Contains(rec.raw, []byte("\uFFFD")) {
			return ErrNotGB18030.Because("the row of line "+line+" is not GB18030", "第 "+line+" 行不是 GB18030 编码")
		}
		return nil
	}
	if utf8.Valid(rec.raw) {
		return nil
	}
	decoded, err := simplifiedchinese.GB18030.NewDecoder().Bytes(rec.raw)
	if err == nil && !bytes.Contains(decoded, []byte("\uFFFD")) {
		return ErrNotUTF8.Because("the row of line "+line+" is not UTF-8, but reads as GB18030: declare encoding gb18030",
			"第 "+line+" 行不是 UTF-8 编码，但可按 GB18030 读取：请声明 encoding 为 gb18030")
	}
	return ErrNotUTF8.Because("the row of line "+line+" is not UTF-8; save the file as UTF-8, or declare its encoding",
		"第 "+line+" 行不是 UTF-8 编码；请将文件另存为 UTF-8，或声明其编码")
}

// headerOf names the column of a field; empty when it is not mapped.
func (f *file) headerOf(field string) string {
	for _, c := range f.columns {
		if c.field == field {
			return c.header
		}
	}
	return ""
}

// mapped is the field by which an amount or its currency came, for the place of an error.
func (f *file) mapped(field string) string {
	for _, other := range []string{field, "amount", "amount_minor"} {
		if f.headerOf(other) != "" {
			return other
		}
	}
	return field
}

// values are the trimmed cells of the mapped columns, in their order.
func (f *file) values(rec record, into [][]byte) [][]byte {
	for _, c := range f.columns {
		into = append(into, bytes.TrimSpace(rec.fields[c.at]))
	}
	return into
}

type hash [sha256.Size]byte

// hash is what a row is known by: its external id where it has one, else all its mapped values that are not empty.
// Each is led by its field and its length, so that no value can pass for two.
func (f *file) hash(values [][]byte) hash {
	b := f.line[:0]
	for i, c := range f.columns {
		if c.field == "external_id" && len(values[i]) > 0 {
			f.line = append(append(b[:0], "external_id="...), values[i]...)
			return sha256.Sum256(f.line)
		}
	}
	for i, c := range f.columns {
		if len(values[i]) > 0 {
			b = append(append(b, c.field...), '=')
			b = binary.AppendUvarint(b, uint64(len(values[i])))
			b = append(b, values[i]...)
		}
	}
	f.line = b
	return sha256.Sum256(b)
}

// survey reads the whole file once: it fails with what is wrong with the file as a whole before anything is written,
// and finds the rows that may stand in it more than once.
func survey(ctx context.Context, src io.Reader, im Import) (*twins, error) {
	f, err := open(src, im)
	if err != nil {
		return nil, err
	}
	t := newTwins(im.Bytes)
	var values [][]byte
	rows := 0
	for {
		rec, err := f.csv.next()
		switch {
		case errors.Is(err, io.EOF):
			if rows == 0 {
				return nil, ErrNoRows
			}
			return t, nil
		case err != nil:
			return nil, err
		}
		rows++
		if rec.wrong != nil {
			continue
		}
		if err := checkEncoding(rec, im.Encoding); err != nil {
			return nil, err
		}
		if len(rec.fields) == len(f.header) {
			values = f.values(rec, values[:0])
			t.add(f.hash(values))
		}
		if rows%1024 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

var fileFaults = []*fault.Fault{ErrEmpty, ErrNoRows, ErrHeader, ErrColumnTwice, ErrColumnMissing, ErrNotUTF8, ErrNotGB18030}

// ends are the faults that an import can end with.
var ends = append(slices.Clone(fileFaults), ErrRange)

// fileFault is err when it says what is wrong with the file, or nil.
func fileFault(err error) *fault.Fault {
	f := fault.Of(err)
	if f != nil && slices.ContainsFunc(fileFaults, func(known *fault.Fault) bool { return known.Code == f.Code }) {
		return f
	}
	return nil
}

// storedFault is the fault that an earlier attempt has ended with.
func storedFault(p Problem) error {
	for _, f := range ends {
		if f.Code == p.Code {
			return f.Because(p.Detail.En, p.Detail.Zh)
		}
	}
	return errors.New("importer: unknown fault " + p.Code)
}
