package entra

import "time"

// SecretEnd is when one client secret of an application ends, as Entra's directory has it.
type SecretEnd struct {
	KeyID string    // the portal's Secret ID: which of the application's secrets it is
	At    time.Time // after it, Entra answers AADSTS7000222
}
