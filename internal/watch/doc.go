// Package watch is the agent's one file watcher, however many checks ask: fanotify,
// which tells who did what, and inotify where that is not allowed or the file system
// has no file handles. It watches directories, never files, so that a file replaced
// by a rename stays in sight; it goes on over directories that vanish, move, come
// back or lie behind a link that is moved, and says so when the kernel dropped
// events or refuses another watch.
package watch
