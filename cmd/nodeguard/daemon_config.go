package main

import (
	"os"
	"time"
)

// configLooks is how often the configuration file is looked at. A ConfigMap is
// swapped by a link, which no watch on the file itself would see.
const configLooks = 5 * time.Second

// configFile notices that the configuration is another one.
type configFile struct {
	name   string
	looked time.Time
	last   os.FileInfo
}

// changed tells whether the file is another one than at the last look, or was
// written to. It looks at most every configLooks, through all links.
func (c *configFile) changed(now time.Time) bool {
	if c.name == "" || now.Sub(c.looked) < configLooks {
		return false
	}
	first := c.looked.IsZero()
	c.looked = now
	info, err := os.Stat(c.name)
	if err != nil {
		return false // a moment of the swap; what is wrong for good is said at the next change
	}
	was := c.last
	c.last = info
	return !first && (was == nil || !os.SameFile(was, info) || !was.ModTime().Equal(info.ModTime()) || was.Size() != info.Size())
}

// turned shares the loop's wake-ups.
func (d *daemon) turned(now time.Time) {
	d.state.turn(now)
	if !d.configFile.changed(now) {
		return
	}
	select {
	case d.reloads <- struct{}{}:
	default:
	}
}
