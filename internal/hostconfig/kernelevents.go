package hostconfig

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// kernelEvents is a descriptor that poll(2) tells of, with what it is polled for
// and what takes an event off it.
type kernelEvents struct {
	file *os.File
	mask int16
	take func(fd int) error
}

// watchKernel hints for what the kernel tells, until ctx ends. Where it cannot be
// heard, the look of every minute sees it.
func (c *Check) watchKernel(ctx context.Context, source string, open func(*host.Root) (kernelEvents, error), to drift.Sink) {
	if !c.root.Live() {
		to.Mode(source, drift.Off, "not a running host")
		return
	}
	events, err := open(c.root)
	if err == nil {
		to.Mode(source, drift.Event, "")
		err = events.serve(ctx, func() { to.Hint(drift.Hint{Source: source, At: time.Now()}) })
	}
	if err != nil && ctx.Err() == nil {
		to.Mode(source, drift.Poll, drift.Printable(err.Error()))
		to.Failed(source, err)
	}
}

// serve waits in the kernel, and for the end of ctx, without a timer.
func (e kernelEvents) serve(ctx context.Context, happened func()) error {
	defer e.file.Close()
	end, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("make an eventfd: %w", err)
	}
	ended := os.NewFile(uintptr(end), "end")
	defer ended.Close()
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		_, _ = unix.Write(end, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	})
	defer func() {
		if !stop() {
			<-woken
		}
	}()
	fds := []unix.PollFd{{Fd: int32(e.file.Fd()), Events: e.mask}, {Fd: int32(end), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, -1); err != nil {
			if errors.Is(err, unix.EINTR) {
				continue
			}
			return fmt.Errorf("poll: %w", err)
		}
		if fds[1].Revents != 0 {
			return nil
		}
		if err := e.take(int(e.file.Fd())); err != nil {
			return err
		}
		happened()
	}
}

// openSwaps hears of swap that is switched on or off.
func openSwaps(root *host.Root) (kernelEvents, error) {
	f, err := root.OpenFile(swapsFile)
	if err != nil {
		return kernelEvents{}, err
	}
	return kernelEvents{file: f, mask: unix.POLLPRI, take: func(int) error { return nil }}, nil
}

// openClock hears of a clock that is set: a timer that the kernel cancels then.
func openClock(*host.Root) (kernelEvents, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return kernelEvents{}, fmt.Errorf("make a timer: %w", err)
	}
	f := os.NewFile(uintptr(fd), "clock")
	if err := armClock(fd); err != nil {
		_ = f.Close()
		return kernelEvents{}, err
	}
	return kernelEvents{file: f, mask: unix.POLLIN, take: func(fd int) error {
		_, _ = unix.Read(fd, make([]byte, 8)) // ECANCELED is the event
		return armClock(fd)
	}}, nil
}

func armClock(fd int) error {
	never := unix.ItimerSpec{Value: unix.Timespec{Sec: math.MaxInt32}}
	// TFD_TIMER_CANCEL_ON_SET is 1 << 1 in linux/timerfd.h.
	if err := unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME|1<<1, &never, nil); err != nil {
		return fmt.Errorf("set a timer: %w", err)
	}
	return nil
}
