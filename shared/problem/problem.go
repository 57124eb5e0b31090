package problem

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"
)

// Code names a kind of failure; the problem type is "urn:fhirlink:problem:" + Code.
type Code string

// The codes of the API. [Code.Status] returns their HTTP status.
const (
	MalformedBody        Code = "malformed_body"
	InvalidFields        Code = "invalid_fields"
	VerificationFailed   Code = "verification_failed"
	UntranslatableScope  Code = "untranslatable_scope"
	SecretRequired       Code = "secret_required"
	SlugTaken            Code = "slug_taken"
	TooManyLinks         Code = "too_many_links"
	ChangedMeanwhile     Code = "changed_meanwhile"
	IfMatchRequired      Code = "if_match_required"
	LinkNotFound         Code = "link_not_found"
	NotFound             Code = "not_found"
	MethodNotAllowed     Code = "method_not_allowed"
	Unauthenticated      Code = "unauthenticated"
	Forbidden            Code = "forbidden"
	BodyTooLarge         Code = "body_too_large"
	UnsupportedMediaType Code = "unsupported_media_type"
	TooManyRequests      Code = "too_many_requests"
	Misdirected          Code = "misdirected_request" // cmd/local only: the Host header names another server
	UpstreamUnavailable  Code = "upstream_unavailable"
	Internal             Code = "internal"

	WebhookNotFound Code = "webhook_not_found"
	ReportNotFound  Code = "report_not_found"
	TooManyWebhooks Code = "too_many_webhooks"

	SMARTNotConfigured      Code = "smart_not_configured"
	SMARTNotEnabled         Code = "smart_not_enabled"
	NotWithFhirlink         Code = "not_with_fhirlink"
	BackendNeedsAsymmetric  Code = "backend_needs_asymmetric"
	AppRegistrationShared   Code = "app_registration_shared"
	NotWithEntra            Code = "not_with_entra"
	ConsentNotPossible      Code = "consent_not_possible"
	MixedScopes             Code = "mixed_scopes"
	AppRegistrationRequired Code = "app_registration_required"
	AppNotFound             Code = "app_not_found"
	AppExists               Code = "app_exists"
	TooManyApps             Code = "too_many_apps"
	UserRequired            Code = "user_required"
)

var kinds = map[Code]struct {
	status int
	title  string
}{
	MalformedBody:        {http.StatusBadRequest, "The request body cannot be read"},
	InvalidFields:        {http.StatusUnprocessableEntity, "Some fields are not valid"},
	VerificationFailed:   {http.StatusUnprocessableEntity, "The link did not pass its verification"},
	UntranslatableScope:  {http.StatusUnprocessableEntity, "A scope cannot be translated without loss"},
	SecretRequired:       {http.StatusUnprocessableEntity, "The client secret is needed again"},
	SlugTaken:            {http.StatusConflict, "The slug is taken"},
	TooManyLinks:         {http.StatusConflict, "The organization has as many links as it may have"},
	ChangedMeanwhile:     {http.StatusPreconditionFailed, "It was changed in the meantime"},
	IfMatchRequired:      {http.StatusPreconditionRequired, "If-Match is required"},
	LinkNotFound:         {http.StatusNotFound, "There is no such link"},
	NotFound:             {http.StatusNotFound, "There is nothing at this path"},
	MethodNotAllowed:     {http.StatusMethodNotAllowed, "The method is not allowed here"},
	Unauthenticated:      {http.StatusUnauthorized, "A valid access token is needed"},
	Forbidden:            {http.StatusForbidden, "The caller may not do this"},
	BodyTooLarge:         {http.StatusRequestEntityTooLarge, "The request body is too large"},
	UnsupportedMediaType: {http.StatusUnsupportedMediaType, "The content type is not supported"},
	TooManyRequests:      {http.StatusTooManyRequests, "Too many requests"},
	Misdirected:          {http.StatusMisdirectedRequest, "The request was meant for another server"},
	UpstreamUnavailable:  {http.StatusServiceUnavailable, "A service that is needed did not answer"},
	Internal:             {http.StatusInternalServerError, "Something went wrong here"},

	ReportNotFound:  {http.StatusNotFound, "No report of the link is kept"},
	WebhookNotFound: {http.StatusNotFound, "There is no such webhook"},
	TooManyWebhooks: {http.StatusConflict, "The organization has as many webhooks as it may have"},

	SMARTNotConfigured:      {http.StatusUnprocessableEntity, "This deployment is not set up for SMART authorization"},
	SMARTNotEnabled:         {http.StatusNotFound, "SMART authorization is off for this link"},
	NotWithFhirlink:         {http.StatusUnprocessableEntity, "The setting has no meaning for tokens of our own"},
	NotWithEntra:            {http.StatusUnprocessableEntity, "The setting has no meaning for Entra's tokens"},
	ConsentNotPossible:      {http.StatusUnprocessableEntity, "Entra's tokens cannot be narrowed by their users"},
	MixedScopes:             {http.StatusUnprocessableEntity, "The FHIR server refuses tokens with such scopes together"},
	AppRegistrationRequired: {http.StatusUnprocessableEntity, "An app lacks a registration of its own in Entra"},
	AppRegistrationShared:   {http.StatusConflict, "The application is another's"},
	BackendNeedsAsymmetric:  {http.StatusUnprocessableEntity, "A backend service needs keys of its own"},
	AppNotFound:             {http.StatusNotFound, "There is no such app"},
	AppExists:               {http.StatusConflict, "The link has an app of this client id"},
	TooManyApps:             {http.StatusConflict, "The link has as many apps as it may have"},
	UserRequired:            {http.StatusUnprocessableEntity, "The launch must name its user"},
}

// Codes returns all codes, sorted.
func Codes() []Code { return slices.Sorted(maps.Keys(kinds)) }

// Status returns the HTTP status of the code, or 500 if the table does not list it.
func (c Code) Status() int {
	if k, ok := kinds[c]; ok {
		return k.status
	}
	return http.StatusInternalServerError
}

// Title returns the short text of the code, which is the same for every occurrence.
func (c Code) Title() string { return kinds[c].title }

// Field is one mistake in one field of a request.
type Field struct {
	Field   string `json:"field"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Fix     string `json:"fix"`
}

// Error is a failure to report to the caller. Detail says what happened, with which value, and
// what to do next. It never holds a secret or the raw text of an upstream service.
type Error struct {
	Code       Code
	Detail     string
	Fields     []Field       // with InvalidFields and MalformedBody
	Report     any           // the verification report, with VerificationFailed and UpstreamUnavailable
	Results    any           // the translated scopes, with UntranslatableScope
	RetryAfter time.Duration // with UpstreamUnavailable and TooManyRequests; rounded up to seconds
	Allow      []string      // with MethodNotAllowed
	Challenge  string        // WWW-Authenticate, with Unauthenticated ("Bearer" when empty) and Forbidden
	Cause      error         // for the log only
}

// New returns an Error with a formatted detail.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// InField returns an Error of a code about one field of the request.
func InField(code Code, field, message, fix string) *Error {
	return &Error{Code: code, Detail: message + " " + fix, Fields: []Field{{Field: field, Code: string(code), Message: message, Fix: fix}}}
}

// Invalid returns an InvalidFields error for one or more mistakes.
func Invalid(fields ...Field) *Error {
	return &Error{Code: InvalidFields, Detail: "Correct the fields listed in errors and send the request again.", Fields: fields}
}

// Unavailable returns an UpstreamUnavailable error that keeps its cause for the log. An Upstream in
// the cause overrides retryAfter, and the text if the service refuses this program.
func Unavailable(cause error, retryAfter time.Duration, format string, args ...any) *Error {
	var u *Upstream
	if errors.As(cause, &u) {
		if u.Denied {
			return &Error{Code: UpstreamUnavailable, Detail: deniedDetail, RetryAfter: retryDenied, Cause: cause}
		}
		if u.RetryAfter > 0 {
			retryAfter = min(u.RetryAfter, retryAtMost)
		}
	}
	return &Error{Code: UpstreamUnavailable, Detail: fmt.Sprintf(format, args...), RetryAfter: retryAfter, Cause: cause}
}

// Error returns the text for the log.
func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Detail, e.Cause)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Detail)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// CodeOf returns the code of the Error in err's chain, or Internal if there is none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}
