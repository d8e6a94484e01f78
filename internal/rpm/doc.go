// Package rpm reads the database in which rpm keeps what is installed. Anybody who may
// install packages wrote it, so a child of internal/probe does, with few rights and
// little room.
package rpm
