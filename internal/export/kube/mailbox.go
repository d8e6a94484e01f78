package kube

// mailbox holds the latest value alone.
type mailbox[T any] chan T

func newMailbox[T any]() mailbox[T] { return make(mailbox[T], 1) }

// put replaces what nobody took yet. It never blocks.
func (m mailbox[T]) put(v T) {
	for {
		select {
		case m <- v:
			return
		default:
		}
		select {
		case <-m:
		default:
		}
	}
}
