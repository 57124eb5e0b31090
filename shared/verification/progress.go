package verification

import "context"

// Progress follows a verification. Its methods are called one after the other: Running before a
// check runs, Done with the result of every check, of skipped ones too.
type Progress interface {
	Running(id string)
	Done(c Check)
}

type progressKey struct{}

// WithProgress returns a context in which p follows the verification.
func WithProgress(ctx context.Context, p Progress) context.Context {
	return context.WithValue(ctx, progressKey{}, p)
}

// progressOf returns the Progress of ctx, or one that does nothing.
func progressOf(ctx context.Context) Progress {
	if p, ok := ctx.Value(progressKey{}).(Progress); ok {
		return p
	}
	return unfollowed{}
}

type unfollowed struct{}

func (unfollowed) Running(string) {}
func (unfollowed) Done(Check)     {}

// CheckIDs returns the ids of all checks, in order.
func CheckIDs() []string {
	ids := make([]string, len(titles))
	for i, t := range titles {
		ids[i] = t.id
	}
	return ids
}
