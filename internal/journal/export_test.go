package journal

// Steps is how many steps a rotation has after the new file is written.
func (j *Journal) Steps() int { return len(j.steps()) }

// RotateUpTo does that many steps of a rotation, and no more.
func (j *Journal) RotateUpTo(done int) error {
	r, err := j.carryOver()
	if err != nil {
		return err
	}
	j.rotation = r
	for ; r.done < done; r.done++ {
		if err := j.steps()[r.done](); err != nil {
			return err
		}
	}
	return nil
}

const (
	Current  = current
	Previous = previous
	Next     = next
)

// RotateNow rotates.
func RotateNow(j *Journal) error { return j.rotate() }
