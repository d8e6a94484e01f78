package prom

// Latency is a histogram of the time from event to publication, in seconds.
type Latency struct {
	Bounds []float64 // upper bounds of the buckets, ascending
	Counts []uint64  // by bucket, not cumulative; one more than bounds, for all above
	Sum    float64
}

// cumulative is the histogram as Prometheus counts: everything up to each bound.
func (l Latency) cumulative() (buckets map[float64]uint64, count uint64) {
	buckets = make(map[float64]uint64, len(l.Bounds))
	for i, n := range l.Counts {
		count += n
		if i < len(l.Bounds) {
			buckets[l.Bounds[i]] = count
		}
	}
	return buckets, count
}
