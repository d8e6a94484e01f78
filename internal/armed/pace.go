package armed

import "time"

const (
	// paceWindow and paceMost make two thousand messages a second.
	paceWindow = 250 * time.Millisecond
	paceMost   = 500
	// paceRest is how long a queue is left alone then: its overflow is one message.
	paceRest = 400 * time.Millisecond

	// paceFew are the messages of a window that are read the moment they come. After them
	// the reader takes a breath now and then: to be woken costs it more than to read.
	paceFew    = 32
	paceBreath = 4 * time.Millisecond
	paceAwake  = time.Millisecond
)

// Pace tells a reader of a queue when more comes than it is worth to read, since all
// will be looked at anyway. The zero value is ready.
type Pace struct {
	began time.Time
	read  int
	awake time.Time // since when it reads without a breath
}

// Rest counts a message and returns how long to leave the others unread, mostly 0.
func (p *Pace) Rest(now time.Time) time.Duration {
	if now.Sub(p.began) > paceWindow {
		p.began, p.read = now, 0
	}
	p.read++
	switch {
	case p.read > paceMost:
		p.began = time.Time{}
		return paceRest
	case p.read > paceFew && now.Sub(p.awake) > paceAwake:
		p.awake = now.Add(paceBreath)
		return paceBreath
	}
	return 0
}
