package secret

import (
	"context"
	"errors"
	"time"
)

// Errors of every store. Drivers wrap them with details. A driver returns no other text of the
// underlying service.
var (
	// ErrNotFound means that the name or version does not exist, or that the version is disabled.
	ErrNotFound = errors.New("secret not found")
	// ErrNameUsed means that a secret of that name was deleted. Names are never reused.
	ErrNameUsed = errors.New("secret name was used before")
	// ErrUnavailable means that the store cannot be reached, throttles, or is failing. A later
	// retry may help.
	ErrUnavailable = errors.New("secret store unavailable")
)

// Attributes belong to a version and can be read without its value.
type Attributes struct {
	ExpiresOn    time.Time // zero: not known. Key Vault's exp in whole seconds, which is informational there
	Slug         string    // tag, for people who look into the vault
	Organization string    // tag
}

// Version describes one version of a secret without its value.
type Version struct {
	ID        string
	CreatedAt time.Time
	Enabled   bool
}

// Namer chooses the names of new secrets.
type Namer interface {
	// NewName returns a name that no secret in any store has had: kind, e.g. link, and random
	// characters. If a store has several vaults, the name contains the vault for the new secret.
	NewName(kind string) string
}

// Reader reads secrets; issuing tokens needs no more.
type Reader interface {
	// Get returns one enabled version. Errors: ErrNotFound if there is none, ErrUnavailable.
	Get(ctx context.Context, name, version string) (Value, error)
}

// Keeper changes secrets; changing links needs it.
type Keeper interface {
	// Put stores v as a new enabled version of name and returns the version's id. It makes one
	// try: a lost answer may leave a version that no row names. Errors: ErrNameUsed,
	// ErrUnavailable.
	Put(ctx context.Context, name string, v Value, a Attributes) (version string, err error)
	// Update sets the attributes of one version, and disables the version if enabled is false. If
	// enabled is true, the state stays as it is, because a version is never enabled again.
	// Errors: ErrNotFound, ErrUnavailable.
	Update(ctx context.Context, name, version string, enabled bool, a Attributes) error
	// Versions lists all versions of name in no particular order, and none if the name does not
	// exist. Error: ErrUnavailable.
	Versions(ctx context.Context, name string) ([]Version, error)
	// Delete removes the secret with all versions; callers cannot restore it. Deleting a secret
	// that does not exist is no error. Error: ErrUnavailable.
	Delete(ctx context.Context, name string) error
}

// Store keeps client secrets, and the keys that webhooks are signed with.
//
// The store chooses a name, and a row of the table keeps it. The name says in which vault the
// secret is and what it is called there: "contoso/link-…", see [SplitName]. A store without
// vaults accepts only names without a vault.
//
// If the store does not have the vault that a name says, every method returns ErrUnavailable and
// never ErrNotFound. Otherwise a mistake in the settings would break links, or make a Delete
// count as done. Old names contain no vault; a store with vaults looks for them in its oldest
// vault.
type Store interface {
	Namer
	Reader
	Keeper
}
