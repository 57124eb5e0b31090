package launch

import (
	"context"
	"errors"
	"strings"

	"fhirlink/shared/oauth"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/ehr"
	"fhirlink/shared/smartauth/handle"
	"fhirlink/shared/store"
)

// launchOf returns what an EHR has opened the app for, and its row. Of an app that was started by itself both are
// zero. The error is a *Refused.
func (s *Service) launchOf(ctx context.Context, server server, app smartauth.App, r request) (ehr.Launch, store.Row, error) {
	if r.Launch == "" {
		return ehr.Launch{}, store.Row{}, nil
	}
	l, row, err := ehr.Look(ctx, s.handles(), server.Server, app, r.Launch, s.Now())
	return l, row, r.notLaunched(err)
}

// spendLaunch makes sure that a launch opens one app once: of several requests with it exactly one goes on. The
// error is a *Refused.
func (s *Service) spendLaunch(ctx context.Context, r request, row store.Row) error {
	if r.Launch == "" {
		return nil
	}
	return r.notLaunched(s.handles().Spend(ctx, row, ""))
}

// notLaunched tells the app what is wrong with its launch.
func (r request) notLaunched(err error) error {
	const again = " Open the app from the EHR again."
	switch {
	case err == nil:
		return nil
	case errors.Is(err, handle.ErrUsed):
		return r.refuse(oauth.InvalidRequest, "The launch was used before, and each opens the app once."+again, err)
	case errors.Is(err, handle.ErrEnded):
		return r.refuse(oauth.InvalidRequest, "The time of the launch is over."+again, err)
	case errors.Is(err, handle.ErrUnknown):
		return r.refuse(oauth.InvalidRequest, "The parameter launch is no launch of this app at this authorization server. Send it as it is in the address with which the EHR opens the app; without an EHR leave it out."+again, err)
	}
	return r.failed(smartauth.Unavailable(err))
}

// mayNotOpen says why a user gets nothing of a launch; empty: they do. It names neither the patient nor the user
// of the launch: whoever has signed in may be another one.
func mayNotOpen(u User, l ehr.Launch) string {
	switch {
	case !l.IsOf(u.ObjectID):
		return "The EHR has opened the app for another user than the one who has signed in. Sign in with the account that you have in the EHR, and open the app from the EHR again."
	case u.kind() == "Patient" && l.Context.Patient != "" && l.Context.Patient != strings.TrimPrefix(u.FHIRUser, "Patient/"):
		return "The user is a patient, and the EHR has opened the app for another record. Patients can open their own only."
	}
	return ""
}
