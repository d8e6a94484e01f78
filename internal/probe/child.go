package probe

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// argument is what a child is started with, before the name of its task.
const argument = "__probe"

const (
	rootDescriptor = 3       // of the host's root directory, opened as a path only
	maxRequest     = 8 << 20 // what a child reads of its task
)

// Passed is a file that the child was started with, the first one being 0.
func Passed(n int) *os.File {
	return os.NewFile(uintptr(rootDescriptor+1+n), fmt.Sprintf("passed file %d", n))
}

// Task answers a request in the child: each answer goes out at once, as a line of
// JSON. root is the host's root directory.
type Task func(root *os.File, request []byte, answer func(any) error) error

// Tasks are what a child can do, by name.
type Tasks map[string]Task

// Child does the task that this process was started for, and tells whether it was
// started for one at all: main asks before anything else.
func Child(args []string, tasks Tasks) (code int, child bool) {
	if len(args) != 3 || args[1] != argument {
		return 0, false
	}
	if err := do(tasks[args[2]]); err != nil {
		fmt.Fprintf(os.Stderr, "probe %s: %v\n", args[2], err)
		return 1, true
	}
	return 0, true
}

func do(task Task) error {
	if task == nil {
		return fmt.Errorf("there is no such task")
	}
	if err := restrict(); err != nil {
		return err
	}
	request, err := io.ReadAll(io.LimitReader(os.Stdin, maxRequest))
	if err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	root := os.NewFile(rootDescriptor, "host root")
	return task(root, request, json.NewEncoder(os.Stdout).Encode)
}
