package redirect

import (
	"encoding/json"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestRedirectURI(t *testing.T) {
	for _, good := range []string{
		"https://app.example/", "https://app.example/cb", "https://app.example/a/b/c.html?x=1&y=%20", "https://app.example:8443/cb", "https://sub.app.example/~ada/cb", "https://app.example/cb?next=/a?b",
		"https://app.example/a%2Fb", "https://app.example/%E4", "https://app.example/a;b=c,d!$&'()+=:@", "https://xn--bcher-kva.example/", "https://203.0.113.7/cb", "https://[2001:db8::1]/cb", "https://app.example/cb?", "https://localhost/cb",
		"http://localhost/", "http://localhost:3000/cb", "http://127.0.0.1/cb", "http://127.0.0.1:4711/cb", "http://[::1]/cb", "http://[::1]:8080/cb?x=%5B",
	} {
		for _, public := range []bool{true, false} {
			if mistake := Check(good, public); mistake != nil {
				t.Errorf("%s: %s", good, mistake.Message)
			}
		}
	}
	for _, private := range []string{"com.example.app:/cb", "com.example.app://host/cb", "com.example.app:/", "com.example.app:/cb?x=1", "com.example.app://callback/", "com.example.app:///cb", "org.hl7-x.app2:/a/b"} {
		if mistake := Check(private, true); mistake != nil {
			t.Errorf("%s: %s", private, mistake.Message)
		}
		if Check(private, false) == nil {
			t.Errorf("%s of a confidential app is accepted", private)
		}
	}
	// Not in normal form: the fix names the right one.
	for wrong, right := range map[string]string{
		"https://app.example": "https://app.example/", "https://app.example?x=1": "https://app.example/?x=1", "HTTPS://app.example/": "https://app.example/", "https://App.Example/cb": "https://app.example/cb",
		"https://app.example:443/cb": "https://app.example/cb", "http://localhost:80/cb": "http://localhost/cb", "https://app.example:/cb": "https://app.example/cb", "https://app.example/a/../b": "https://app.example/b",
		"https://app.example/./a": "https://app.example/a", "https://app.example/a/.": "https://app.example/a/", "https://app.example/a/..": "https://app.example/", "https://app.example/../../a": "https://app.example/a",
		"https://app.example/%61dd": "https://app.example/add", "https://app.example/%7Eada": "https://app.example/~ada", "https://app.example/%2e%2e/a": "https://app.example/a", "https://app.example/cb?x=%41": "https://app.example/cb?x=A",
		"com.example.app:cb": "com.example.app:/cb", "com.example.app://cb": "com.example.app://cb/", "Com.Example.App:/cb": "com.example.app:/cb", "com.example.app://CB/x": "com.example.app://cb/x", "com.example.app:": "com.example.app:/",
		"https://[2001:DB8::1]/cb": "https://[2001:db8::1]/cb", "https://[2001:db8:0:0::1]/cb": "https://[2001:db8::1]/cb", "http://[0:0::1]/": "",
	} {
		mistake := Check(wrong, true)
		if mistake == nil {
			t.Errorf("%s is accepted", wrong)
			continue
		}
		if right != "" && mistake.Fix != "Register and send it as "+right+"." {
			t.Errorf("%s: %s %s", wrong, mistake.Message, mistake.Fix)
		}
		if right != "" && Check(right, true) != nil {
			t.Errorf("the right form %s is refused", right)
		}
	}
	for _, bad := range []string{
		"", " ", "/", "/cb", "//app.example/cb", "app.example/cb", "https:", "https:/", "https://", "https:///cb", "https:app.example/cb", "https:/app.example/cb", "https://:443/", "https://app.example:0/", "https://app.example:65536/", "https://app.example:080/",
		"https://app.example:8080x/", "https://app.example/cb#", "https://app.example/cb#x", "https://app.example/ cb", "https://app.example/\tcb", "https://app.example/cb\n", "https://app.example/ä", "https://äpp.example/", "https://app.example/a\\b", "https:\\\\app.example\\cb",
		"https://app.example/<x>", "https://app.example/\"x", "https://app.example/a^b", "https://app.example/a`b", "https://app.example/a|b", "https://app.example/{id}", "https://app.example/a[b]", "https://app.example/cb?a[]=1", "https://app.example/%", "https://app.example/%2", "https://app.example/%zz",
		"https://*.app.example/cb", "https://app.example/*", "https://ada@app.example/cb", "https://ada:pw@app.example/", "https://app.example@evil.example/cb", "https://app..example/", "https://.example/", "https://app.example./", "https://-app.example/", "https://a_b.example/", "https://0x7f000001/cb", "https://2130706433/cb", "https://127.1/cb",
		"https://[::1/cb", "https://::1/cb", "https://[fe80::1%25eth0]/cb", "https://[127.0.0.1]/", "https://app.example,evil.example/", "https://app.example;evil.example/", "https://app.example&evil.example/", "https://" + strings.Repeat("a", 64) + ".example/", "https://app.example/" + strings.Repeat("a", 500),
		"http://app.example/cb", "http://127.0.0.2/cb", "http://0.0.0.0/cb", "http://[::]/cb", "http://localhost.evil.example/cb", "http://127.0.0.1.evil.example/", "http://localhost@evil.example/", "http://[::ffff:127.0.0.1]/cb", "http://10.0.0.1/", "http://app.localhost/",
		"javascript:alert(1)", "javascript://app.example/%0aalert(1)", "JavaScript:alert(1)", "java.script:x y", "data:text/html,x", "data:,x", "file:///etc/passwd", "file://app.example/x", "blob:https://app.example/x", "vbscript:x", "about:blank", "about:srcdoc", "intent://app.example/#Intent;end",
		"intent:/x", "view-source:https://app.example/", "ftp://app.example/", "ws://app.example/", "wss://app.example/", "mailto:ada@app.example", "tel:1", "urn:ietf:wg:oauth:2.0:oob", "myapp://cb", "myapp:/cb", "app:/cb", ".app:/cb", "com.:/cb", "com..app:/cb", "1com.app:/cb", "com.example.app://ada@cb/x", "com.example.app://cb:80/x",
		"com.example.app:/cb#x", "com.example.app:/*", "\x00https://app.example/", "https://app.example/\x00", "https://app.example/\x7f", "\u202ehttps://app.example/", "https://app.example\u3002evil/", "http:/localhost/", "http:localhost/",
	} {
		if Check(bad, true) == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// corpus are addresses that apps may be answered at, those that only public apps may, and others. Tests of
// the programs read it, too.
func corpus(t *testing.T) (accepted, public, refused []string) {
	t.Helper()
	data, err := os.ReadFile("testdata/corpus.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Accepted, Public, Refused []string }
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return all.Accepted, all.Public, all.Refused
}

func TestCorpus(t *testing.T) {
	accepted, public, refused := corpus(t)
	seen := map[string]bool{}
	check := func(list []string, public, good bool) {
		for _, uri := range list {
			seen[uri] = true
			if mistake := Check(uri, public); (mistake == nil) != good {
				t.Errorf("%q, public %v: %+v", uri, public, mistake)
			}
		}
	}
	check(accepted, true, true)
	check(accepted, false, true)
	check(public, true, true)
	check(public, false, false)
	check(refused, true, false)
	check(refused, false, false)
	if len(seen) != len(accepted)+len(public)+len(refused) || len(seen) < 400 {
		t.Errorf("%d addresses, of which %d differ", len(accepted)+len(public)+len(refused), len(seen))
	}
	for _, uri := range append(accepted, public...) {
		if u, err := url.Parse(uri); err != nil || u.String() != uri {
			t.Errorf("%q is read as %q: %v", uri, u, err)
		}
	}
}

func TestRedirects(t *testing.T) {
	registered := []string{"https://app.example/cb", "https://app.example/cb?x=1", "http://127.0.0.1/cb", "http://[::1]:8080/cb", "http://localhost:3000/cb", "com.example.app:/cb"}
	for _, asked := range append([]string{"http://127.0.0.1:4711/cb", "http://127.0.0.1:80/cb", "http://127.0.0.1:65535/cb", "http://[::1]/cb", "http://[::1]:1/cb", "http://[::1]:65535/cb"}, registered...) {
		if !Match(registered, asked) {
			t.Errorf("%s is refused", asked)
		}
	}
	for _, asked := range []string{
		"", "https://app.example/", "https://app.example/cb/", "https://app.example/CB", "https://app.example/cb?", "https://app.example/cb?x=2", "https://app.example:443/cb", "https://APP.example/cb", "https://app.example/cb#x", "https://app.example/cb%20", "https://app.example/./cb", "https://app.example/c%62",
		"http://app.example/cb", "https://evil.example/cb", "https://app.example.evil.example/cb", "https://app.example@evil.example/cb", "//app.example/cb", "https://app.example\\@evil.example/cb", "https://app.example/cb\n", " https://app.example/cb",
		"http://localhost:3001/cb", "http://localhost/cb", "http://127.0.0.1:4711/cb2", "http://127.0.0.1:4711/", "http://127.0.0.1:0/cb", "http://127.0.0.1:99999/cb", "http://127.0.0.1:+1/cb", "http://127.0.0.1:/cb", "http://127.0.0.1:1:2/cb", "http://127.0.0.1:1@evil.example/cb", "http://127.0.0.1@evil.example/cb", "http://127.0.0.1.evil.example/cb",
		"https://127.0.0.1:4711/cb", "http://127.0.0.2/cb", "http://127.1/cb", "http://::1/cb", "http://[::1]:8080/cb?x", "http://[::1]:x/cb", "http://[0::1]/cb", "http://127.0.0.1:1?/cb", "http://127.0.0.1:1#/cb", "com.example.app:/cb2", "com.example.app://cb", "http://127.0.0.1:01/cb", "http://127.0.0.1:4711\\evil/cb",
		"http://[127.0.0.1]:80/cb", "http://[127.0.0.1]/cb", "http://[[127.0.0.1]]:80/cb", "http://127.0.0.1]:80/cb", "http://[127.0.0.1:80/cb", "http://[::1]:0/cb", "http://[::1]:/cb", "http://[::1]:080/cb", "http://[::1]:65536/cb", "http://[::1]:+80/cb", "http://[::1]80/cb", "http://[[::1]]/cb", "http://[[::1]]:80/cb", "http://::1:80/cb", "http://[::1/cb", "http://::1]/cb", "http://[::1]:1:2/cb",
		"http://127.0.0.1:00/cb", "http://127.0.0.1:65536/cb", "http://127.0.0.1:-1/cb", "http://127.0.0.1: 80/cb", "http://127.0.0.1:80\n/cb", "http://127.0.0.1:８/cb", "http://127.0.0.1:0x50/cb", "http://127.0.0.1:8_0/cb", "http://ada@127.0.0.1:80/cb", "http://ada:80@127.0.0.1/cb", "http://ada:pw@[::1]:80/cb", "http://@127.0.0.1/cb", "http://127.0.0.1%20:80/cb", "http://127.0.0.1.:80/cb", "http://[::1%25lo]:80/cb", "HTTP://127.0.0.1:80/cb", "http:///127.0.0.1:80/cb", "http://127.0.0.1:80", "http://127.0.0.1:80cb",
	} {
		if Match(registered, asked) {
			t.Errorf("%q is taken", asked)
		}
	}
}

// FuzzRedirectURI: what is accepted is one address for every reader, and the right form that a mistake
// names is right.
func FuzzRedirectURI(f *testing.F) {
	for _, seed := range []string{"https://app.example/cb?x=%20", "http://127.0.0.1:1/", "com.example.app://cb", "https://[::1]/a/../b", "HTTPS://App:443", "javascript:alert(1)", "https://a@b/c"} {
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, raw string, public bool) {
		mistake := Check(raw, public)
		if mistake != nil {
			if right, ok := strings.CutPrefix(mistake.Fix, "Register and send it as "); ok && len(right) <= maxURI {
				if again := Check(strings.TrimSuffix(right, "."), public); again != nil {
					t.Errorf("%q should be %s, which is refused: %s", raw, right, again.Message)
				}
			}
			return
		}
		u, err := url.Parse(raw)
		if err != nil || u.Fragment != "" || u.User != nil || u.Opaque != "" || !strings.HasPrefix(u.EscapedPath(), "/") {
			t.Fatalf("%q is accepted, and read as %+v, %v", raw, u, err)
		}
		switch {
		case dangerous[u.Scheme], u.Scheme == "https" && u.Hostname() == "", u.Scheme == "http" && u.Hostname() != "localhost" && u.Hostname() != "127.0.0.1" && u.Hostname() != "::1", u.Scheme != "https" && u.Scheme != "http" && !public:
			t.Errorf("%q is accepted", raw)
		}
		if !Match([]string{raw}, raw) {
			t.Errorf("%q is not itself", raw)
		}
	})
}

// loopbackPort finds the port of an address that begins with a loopback address.
var loopbackPort = regexp.MustCompile(`^(http://(?:127\.0\.0\.1|\[::1\])):[1-9][0-9]{0,4}([/?#])`)

// withPort is a port, or none.
var withPort = regexp.MustCompile(`^([1-5]?[0-9]{1,4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])?$`)

// FuzzMatch: an address that an app is answered at is one that it registered, byte for byte, but for the port of
// a loopback address; and it is one for every reader.
func FuzzMatch(f *testing.F) {
	for _, seed := range [][2]string{
		{"http://127.0.0.1/cb", "http://127.0.0.1:4711/cb"},
		{"http://[::1]:8080/cb", "http://[::1]/cb"},
		{"http://127.0.0.1/cb", "http://[127.0.0.1]:80/cb"},
		{"http://[::1]/cb", "http://[[::1]]:80/cb"},
		{"http://127.0.0.1/", "http://127.0.0.1:65536/"},
		{"http://localhost:1/", "http://localhost:2/"},
		{"https://a/b", "https://a/b"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, registered, asked string) {
		if Check(registered, true) != nil {
			return
		}
		for _, asked := range []string{asked, strings.Replace(registered, "http://127.0.0.1", asked, 1), strings.Replace(registered, "http://[::1]", asked, 1)} {
			if !Match([]string{registered}, asked) {
				continue
			}
			if loopbackPort.ReplaceAllString(registered, "$1$2") != loopbackPort.ReplaceAllString(asked, "$1$2") {
				t.Errorf("%q is registered, and %q is taken", registered, asked)
			}
			if u, err := url.Parse(asked); err != nil || !withPort.MatchString(u.Port()) {
				t.Errorf("%q is taken, and read as %+v: %v", asked, u, err)
			}
		}
	})
}
