package secret

import (
	"context"
	"errors"
	"time"
)

// Errors of every store. Drivers wrap them with what they know; nothing else of the
// underlying service's text leaves a driver.
var (
	// ErrNotFound: no such name or version, or the version is disabled.
	ErrNotFound = errors.New("secret not found")
	// ErrNameUsed: the name was deleted before; names are never used again.
	ErrNameUsed = errors.New("secret name was used before")
	// ErrUnavailable: the store could not be reached, throttles, or is failing. Trying
	// again later may help.
	ErrUnavailable = errors.New("secret store unavailable")
)

// Attributes stand beside a version, readable without the value.
type Attributes struct {
	ExpiresOn    time.Time // zero: not known. Key Vault's exp, whole seconds; informational there
	Slug         string    // tag, for people who look into the vault
	Organization string    // tag
}

// Version describes one version of a secret without its value.
type Version struct {
	ID        string
	CreatedAt time.Time
	Enabled   bool
}

// Namer chooses names for new secrets.
type Namer interface {
	// NewName is a name that no secret of any store had before: kind, e.g. link, and chance.
	// Where a store has several vaults, the one that is to keep the secret is part of the name.
	NewName(kind string) string
}

// Reader is what handing out tokens needs.
type Reader interface {
	// Get returns one enabled version. ErrNotFound when there is none, ErrUnavailable.
	Get(ctx context.Context, name, version string) (Value, error)
}

// Keeper is what changing links needs.
type Keeper interface {
	// Put stores v as a new enabled version of name and returns its id. It is tried once: an
	// answer that got lost may leave a version that nobody names. ErrNameUsed, ErrUnavailable.
	Put(ctx context.Context, name string, v Value, a Attributes) (version string, err error)
	// Update sets the attributes of one version. enabled false disables it; true leaves it as
	// it is, for nothing here ever enables a version again. ErrNotFound, ErrUnavailable.
	Update(ctx context.Context, name, version string, enabled bool, a Attributes) error
	// Versions lists all versions of name, in no order; none when the name does not exist.
	Versions(ctx context.Context, name string) ([]Version, error)
	// Delete removes the secret with all versions, for good as far as callers are concerned.
	// Deleting what is not there is no error.
	Delete(ctx context.Context, name string) error
}

// Store keeps client secrets, and the keys that webhooks are signed with.
//
// A name is chosen by the store and kept in rows of the table. It says in which vault the secret
// lies, and how it is called there: "contoso/link-…", see [SplitName]. A store without vaults
// takes names without one. A vault that the store does not have is ErrUnavailable for every
// method, never ErrNotFound: a mistake in the settings must not make links broken, nor a Delete
// count as done. That holds for names that say their vault; of a name from before, which does
// not, a store with vaults can only take it that it lies in the oldest.
type Store interface {
	Namer
	Reader
	Keeper
}
