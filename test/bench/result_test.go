package bench

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// result is what one benchmark measured.
type result struct {
	Benchmark string
	How       string             // one or two sentences
	Series    []series           // in the order of the table
	Bounds    map[string]float64 // by the promise's name
	Notes     []string
}

// series are the values of one thing, a value each run.
type series struct {
	Name, Unit string
	Runs       []float64
}

// add adds the value of a run; nothing, where nothing was measured.
func (r *result) add(name, unit string, value float64) {
	if math.IsNaN(value) {
		return
	}
	i := slices.IndexFunc(r.Series, func(s series) bool { return s.Name == name })
	if i < 0 {
		r.Series = append(r.Series, series{Name: name, Unit: unit})
		i = len(r.Series) - 1
	}
	r.Series[i].Runs = append(r.Series[i].Runs, value)
}

// ratio adds the ratio of two values of the same run.
func (r *result) ratio(name string, ours, theirs float64) { r.add(name, "×", ours/theirs) }

// bound is what a promise is measured by.
func (r *result) bound(name string, value float64) {
	if math.IsNaN(value) {
		return // it is said that it was not measured
	}
	if r.Bounds == nil {
		r.Bounds = map[string]float64{}
	}
	r.Bounds[name] = value
}

// boundByMedian takes a series' median.
func (r *result) boundByMedian(promise, of string) { r.bound(promise, r.of(of).median()) }

// boundByWorst takes a series' highest value.
func (r *result) boundByWorst(promise, of string) { r.bound(promise, slices.Max(r.of(of).Runs)) }

func (r *result) of(name string) series {
	for _, s := range r.Series {
		if s.Name == name {
			return s
		}
	}
	return series{Runs: []float64{math.NaN()}}
}

func (r *result) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

func (s series) median() float64 { return percentile(s.Runs, 50) }

// percentile is of values in any order.
func percentile(values []float64, p int) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return math.NaN()
	}
	if p == 50 && len(sorted)%2 == 0 {
		return (sorted[len(sorted)/2-1] + sorted[len(sorted)/2]) / 2
	}
	return sorted[min(len(sorted)-1, len(sorted)*p/100)]
}

// figure is a value as people read it.
func figure(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "–"
	case a >= 100 || v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 0.1:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.4f", v)
	}
}

func TestPercentile(t *testing.T) {
	for _, c := range []struct {
		values []float64
		p      int
		want   float64
	}{
		{[]float64{3, 1, 2}, 50, 2},
		{[]float64{4, 1, 2, 3}, 50, 2.5},
		{[]float64{1}, 99, 1},
		{[]float64{5, 4, 3, 2, 1}, 99, 5},
	} {
		if got := percentile(c.values, c.p); got != c.want {
			t.Errorf("p%d of %v is %v, want %v", c.p, c.values, got, c.want)
		}
	}
}

func TestFigure(t *testing.T) {
	for v, want := range map[float64]string{1234.5: "1234", 300: "300", 12.34: "12.3", 1.666: "1.67", 0.0123: "0.0123", math.NaN(): "–", 0: "0"} {
		if got := figure(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}
