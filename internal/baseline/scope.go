package baseline

// Scope is what one check recorded: the accepted value of each subject. nil means
// that nothing has been recorded yet, so that there is nothing to differ from.
type Scope map[string]string
