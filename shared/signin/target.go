package signin

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

const maxTarget = 500 // bytes

var (
	// targetPath has no escapes: the paths of our pages need none, and an escape can hide a dot or a
	// slash. Slashes and dots are looked at one by one.
	targetPath  = regexp.MustCompile(`^/api/manage/[A-Za-z0-9._~/-]*$`)
	targetQuery = regexp.MustCompile(`^(?:[A-Za-z0-9._~!$'()*+,;:@/?&=-]|%[0-9A-Fa-f]{2})*$`)
)

// Target returns to if it is a page of ours to go to after a sign-in, else the first page. It must be a
// path below Base, at most 500 bytes long, and no page of the sign-in. Everything that a browser, a
// proxy or a router may read as another place is refused: another origin, an empty or dot segment, a
// backslash, an escape in the path, a fragment, a character that must be escaped. So is an address with a
// client secret, and what is no page to stay on: a file, or the address that only the script asks.
func Target(to string) string {
	if isTarget(to) {
		return to
	}
	return Base
}

func isTarget(to string) bool {
	path, query, _ := strings.Cut(to, "?")
	if len(to) > maxTarget || !targetPath.MatchString(path) || !targetQuery.MatchString(query) || strings.Contains(to, "//") {
		return false
	}
	plain, err := url.QueryUnescape(query)
	if err != nil || strings.ContainsFunc(plain, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return false
	}
	if strings.Contains(strings.ToLower(plain), "clientsecret") { // somebody put it there by mistake: it is not repeated
		return false
	}
	segments := strings.Split(strings.TrimPrefix(path, Base), "/")
	return !slices.Contains(segments, ".") && !slices.Contains(segments, "..") &&
		!strings.Contains(segments[len(segments)-1], ".") && // a file would be downloaded, and leave the browser where it is
		!slices.Contains([]string{SignIn, SignedIn, SignOut, SignedOut, Consented, Base + "assets", Base + "discover"}, Base+strings.ToLower(segments[0]))
}
