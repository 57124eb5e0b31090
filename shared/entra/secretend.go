package entra

import "time"

// SecretEnd says when a client secret of an application expires, according to Entra's directory.
type SecretEnd struct {
	KeyID string    // the portal's Secret ID, which identifies the secret
	At    time.Time // afterwards Entra answers AADSTS7000222
}
