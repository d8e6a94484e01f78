package text

import (
	"io"
	"strings"
	"unicode/utf8"
)

// Stream writes rows as they come, in columns that only grow.
type Stream struct {
	w      io.Writer
	widths []int
}

// NewStream returns a stream of rows to w.
func NewStream(w io.Writer) *Stream { return &Stream{w: w} }

// Rows writes these rows, aligned with each other and as far as can be with those before.
func (s *Stream) Rows(rows ...[]string) error {
	for _, row := range rows {
		for i, cell := range row {
			if i == len(s.widths) {
				s.widths = append(s.widths, 0)
			}
			s.widths[i] = max(s.widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			line.WriteString(strings.Repeat(" ", s.widths[i]-utf8.RuneCountInString(cell)+3))
		}
		if _, err := io.WriteString(s.w, strings.TrimRight(line.String(), " ")+"\n"); err != nil {
			return err
		}
	}
	return nil
}
