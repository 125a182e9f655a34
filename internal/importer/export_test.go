package importer

import (
	"errors"
	"io"
)

// InBatchesOf makes transactions small, so that a short file has several.
func (s *Service) InBatchesOf(rows int) { s.batch = rows }

// ReadCSV is all rows of src with the lines on which they begin; a nil row is one that is no CSV.
func ReadCSV(src io.Reader) (rows [][]string, lines []int64, err error) {
	c := newCSVReader(src)
	for {
		rec, err := c.next()
		if errors.Is(err, io.EOF) {
			return rows, lines, nil
		} else if err != nil {
			return nil, nil, err
		}
		var row []string
		for _, f := range rec.fields {
			row = append(row, string(f))
		}
		rows, lines = append(rows, row), append(lines, rec.line)
	}
}
