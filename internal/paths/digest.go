package paths

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/nodeguard/nodeguard/internal/host"
)

// maxContent is how much of a file is read. Static files of a node are far
// smaller; of a larger one size and modification time stand for the content.
const maxContent = 512 << 20

const (
	bufferSize  = 256 << 10
	smallBuffer = 32 << 10
)

// queued is how many open files may wait to be read: handing over small ones one
// by one costs more than reading them.
const queued = 64

// Progress counts what has been read, for people who wait.
type Progress struct {
	Files, Bytes atomic.Int64
}

// digests reads contents on all cores while the walk goes on, or a single one when it
// has ended: waking another core takes longer.
type digests struct {
	ctx      context.Context
	single   *job     // while there is no other one
	jobs     chan job // nil as long as that will do
	workers  sync.WaitGroup
	progress *Progress
}

type job struct {
	file *os.File
	done func(sha256 string, err error)
}

func newDigests(ctx context.Context, progress *Progress) *digests {
	return &digests{ctx: ctx, progress: progress}
}

func (d *digests) work() {
	buf := make([]byte, bufferSize)
	for j := range d.jobs {
		d.do(j, buf)
	}
}

func (d *digests) do(j job, buf []byte) {
	sum, err := d.digest(d.ctx, j.file, buf)
	_ = j.file.Close()
	j.done(sum, err)
}

// add hands a file over, which is closed once it is read.
func (d *digests) add(f *os.File, done func(string, error)) {
	j := job{f, done}
	switch {
	case d.jobs == nil && d.single == nil:
		d.single = &j
		return
	case d.jobs == nil:
		d.jobs = make(chan job, queued)
		for range runtime.GOMAXPROCS(0) {
			d.workers.Go(d.work)
		}
		d.jobs <- *d.single
	}
	d.jobs <- j
}

// wait returns when everything that was handed over is done.
func (d *digests) wait() {
	switch {
	case d.jobs != nil:
		close(d.jobs)
		d.workers.Wait()
	case d.single != nil:
		d.do(*d.single, make([]byte, smallBuffer))
	}
}

func (d *digests) digest(ctx context.Context, f *os.File, buf []byte) (string, error) {
	h, content := sha256.New(), host.Content(f)
	var read int64
	for {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n, err := content.Read(buf)
		h.Write(buf[:n])
		d.progress.Bytes.Add(int64(n))
		if read += int64(n); read > maxContent {
			return "", fmt.Errorf("read %s: %w", f.Name(), host.ErrTooLarge)
		}
		if err == io.EOF {
			d.progress.Files.Add(1)
			return hex.EncodeToString(h.Sum(nil)), nil
		}
		if err != nil {
			return "", fmt.Errorf("read %s: %w", f.Name(), err)
		}
	}
}
