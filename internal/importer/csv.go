package importer

import (
	"bytes"
	"errors"
	"io"
)

// maxRow is the most bytes that a row may have; a longer one is refused without being kept in memory.
const maxRow = 1 << 20

// csvReader reads rows of CSV (RFC 4180; a bare line feed ends a row as well) and goes on after what it can't read.
// encoding/csv is not used because an open quote makes it keep the rest of the file in memory, and lose it.
type csvReader struct {
	src  io.Reader
	buf  []byte
	pos  int // buf[pos:end] is not read yet
	end  int
	err  error // of src
	line int64 // on which buf[pos] is

	fields [][]byte
	plain  []byte // the values of a row with quotes
	ends   []int  // where each of them ends in plain
}

// record is one row. Its bytes are good until the next one is read.
type record struct {
	line   int64
	fields [][]byte
	raw    []byte   // as it stands in the file
	wrong  *Problem // of a row that is no CSV; raw and fields are empty then
}

var errLong = errors.New("the row is too long")

func newCSVReader(src io.Reader) *csvReader {
	return &csvReader{src: src, buf: make([]byte, 64<<10), line: 1}
}

// next is the next row that is not empty, or io.EOF.
func (c *csvReader) next() (record, error) {
	for {
		n, err := c.lineEnd(0)
		switch {
		case errors.Is(err, errLong):
			return c.skipLong()
		case err != nil:
			return record{}, err
		case n == 0:
			return record{}, io.EOF
		}
		raw := c.buf[c.pos : c.pos+n]
		text := trimEOL(raw)
		switch {
		case len(text) == 0:
			c.consume(n, 1)
		case bytes.IndexByte(text, '"') >= 0:
			return c.quoted(n)
		default:
			r := record{line: c.line, fields: split(c.fields[:0], text), raw: raw}
			c.fields = r.fields
			c.consume(n, 1)
			return r, nil
		}
	}
}

func (c *csvReader) consume(n int, lines int64) {
	c.pos += n
	c.line += lines
}

// quoted reads a row with quotes, which may go over several lines. first is the length of its first line. A row that
// is no CSV costs that line alone: the next one begins a new row.
func (c *csvReader) quoted(first int) (record, error) {
	n, lines := first, int64(1)
	plain, ends := c.plain[:0], c.ends[:0]
	at := 0
	for {
		if at < n && c.buf[c.pos+at] == '"' {
			at++
			for closed := false; !closed; {
				j := bytes.IndexByte(c.buf[c.pos+at:c.pos+n], '"')
				if j >= 0 {
					plain = append(plain, c.buf[c.pos+at:c.pos+at+j]...)
					at += j + 1
					closed = at >= n || c.buf[c.pos+at] != '"'
					if !closed { // "" stands for one quote
						plain = append(plain, '"')
						at++
					}
					continue
				}
				plain = append(plain, c.buf[c.pos+at:c.pos+n]...)
				at = n
				longer, err := c.lineEnd(n)
				if err != nil && !errors.Is(err, errLong) {
					return record{}, err
				}
				if err != nil || longer == n || longer > maxRow {
					return c.spoiled(first, badQuotes), nil
				}
				n, lines = longer, lines+1
			}
		} else {
			rest := trimEOL(c.buf[c.pos+at : c.pos+n])
			if j := bytes.IndexByte(rest, ','); j >= 0 {
				rest = rest[:j]
			}
			if bytes.IndexByte(rest, '"') >= 0 {
				return c.spoiled(first, badQuotes), nil
			}
			plain = append(plain, rest...)
			at += len(rest)
		}
		ends = append(ends, len(plain))
		rest := c.buf[c.pos+at : c.pos+n]
		if len(rest) > 0 && rest[0] == ',' {
			at++
			continue
		}
		if len(trimEOL(rest)) > 0 {
			return c.spoiled(first, badQuotes), nil
		}
		break
	}
	fields := c.fields[:0]
	from := 0
	for _, to := range ends {
		fields = append(fields, plain[from:to])
		from = to
	}
	r := record{line: c.line, fields: fields, raw: c.buf[c.pos : c.pos+n]}
	c.fields, c.plain, c.ends = fields, plain, ends
	c.consume(n, lines)
	return r, nil
}

// spoiled passes over one line.
func (c *csvReader) spoiled(n int, why Problem) record {
	r := record{line: c.line, wrong: &why}
	c.consume(n, 1)
	return r
}

// skipLong passes over a line of more than maxRow bytes.
func (c *csvReader) skipLong() (record, error) {
	r := record{line: c.line, wrong: &rowTooLong}
	for {
		if j := bytes.IndexByte(c.buf[c.pos:c.end], '\n'); j >= 0 {
			c.consume(j+1, 1)
			return r, nil
		}
		c.pos = c.end
		if !c.fill() {
			if errors.Is(c.err, io.EOF) {
				return r, nil
			}
			return record{}, c.err
		}
	}
}

// lineEnd is how many bytes there are up to the end of the line that holds the byte at from, its line feed included;
// at the end of the file all that are left. It fails with errLong past maxRow.
func (c *csvReader) lineEnd(from int) (int, error) {
	for {
		if j := bytes.IndexByte(c.buf[c.pos+from:c.end], '\n'); j >= 0 {
			return from + j + 1, nil
		}
		from = c.end - c.pos
		if from > maxRow {
			return 0, errLong
		}
		if !c.fill() {
			if errors.Is(c.err, io.EOF) {
				return from, nil
			}
			return 0, c.err
		}
	}
}

// fill reads on, and answers false at the end of the file or an error.
func (c *csvReader) fill() bool {
	if c.err != nil {
		return false
	}
	if c.pos > 0 {
		c.end = copy(c.buf, c.buf[c.pos:c.end])
		c.pos = 0
	}
	if c.end == len(c.buf) {
		c.buf = append(c.buf, make([]byte, len(c.buf))...) // at most twice maxRow
	}
	for {
		n, err := c.src.Read(c.buf[c.end:])
		c.end += n
		c.err = err
		if n > 0 || err != nil {
			return n > 0
		}
	}
}

func split(fields [][]byte, line []byte) [][]byte {
	for {
		j := bytes.IndexByte(line, ',')
		if j < 0 {
			return append(fields, line)
		}
		fields = append(fields, line[:j])
		line = line[j+1:]
	}
}

func trimEOL(b []byte) []byte {
	b = bytes.TrimSuffix(b, []byte{'\n'})
	return bytes.TrimSuffix(b, []byte{'\r'})
}
