package egress

import (
	"net/netip"
	"strings"
	"testing"
)

var notPublic = []string{
	// IPv4.
	"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254",
	"169.254.169.254", "169.254.255.2", "169.254.130.6", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1",
	"198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
	"168.63.129.16",
	// The same in IPv6.
	"::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:168.63.129.16", "::127.0.0.1", "::7f00:1", "::ffff:0:127.0.0.1",
	"64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::8.8.8.8", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:7f00:1::", "2001:db8::1",
	"100::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00::1", "fd00:ec2::254", "ff02::1", "ff0e::1", "3fff::1", "5f00::1", "4000::1",
	// Zones.
	"2606:4700::1111%eth0",
}

func TestPublic(t *testing.T) {
	if len(notPublic) < 40 {
		t.Fatal("too few addresses")
	}
	for _, s := range notPublic {
		if public(netip.MustParseAddr(s)) {
			t.Errorf("%s counts as public", s)
		}
	}
	for _, s := range []string{"8.8.8.8", "20.190.128.1", "100.63.255.255", "100.128.0.1", "168.63.129.15", "172.15.0.1", "172.32.0.1", "192.0.1.1", "::ffff:8.8.8.8", "2603:1030:10::1", "2606:4700::1111", "2001:200::1"} {
		if !public(netip.MustParseAddr(s)) {
			t.Errorf("%s does not count as public", s)
		}
	}
	if public(netip.Addr{}) {
		t.Error("no address counts as public")
	}
}

func TestExcepted(t *testing.T) {
	allow, err := ParseAllow("10.0.0.0/8, 169.0.0.0/8,168.0.0.0/8,192.168.1.7/32,127.0.0.1/32,::1/128,fd00::/32,fd00:ec2::/32,fe80::/32,ff02::/32,64:ff9b::/96,2002::/32,224.0.0.0/8,0.0.0.0/8,255.0.0.0/8,")
	if err != nil {
		t.Fatal(err)
	}
	for s, want := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "192.168.1.7": true, "192.168.1.8": false, "127.0.0.1": true, "::ffff:127.0.0.1": true, "127.0.0.2": false, "::1": true,
		"fd00::5": true, "fd12::5": false, "64:ff9b::8.8.8.8": true,
		// Closed under every setting.
		"169.254.169.254": false, "169.254.1.1": false, "168.63.129.16": false, "::ffff:168.63.129.16": false, "fd00:ec2::254": false, "fe80::1": false, "ff02::1": false, "224.0.0.1": false, "0.0.0.0": false, "0.0.0.1": false, "255.255.255.255": false,
		"64:ff9b::169.254.169.254": false, "64:ff9b::168.63.129.16": false, "64:ff9b::127.0.0.1": false, "2002:0:0::1": false,
		"fd00::5%eth0": false,
	} {
		if got := excepted(netip.MustParseAddr(s), allow); got != want {
			t.Errorf("%s: %v, want %v", s, got, want)
		}
	}
}

func TestParseAllow(t *testing.T) {
	for text, want := range map[string]string{
		"": "", " , ": "", "10.0.0.0/8": "10.0.0.0/8", "10.1.2.3/16": "10.1.0.0/16", " 10.0.0.0/8 ,fd00::/32": "10.0.0.0/8 fd00::/32",
		"127.0.0.1/32,::1/128": "127.0.0.1/32 ::1/128", "169.254.0.0/16": "169.254.0.0/16",
	} {
		got, err := ParseAllow(text)
		var parts []string
		for _, p := range got {
			parts = append(parts, p.String())
		}
		if err != nil || strings.Join(parts, " ") != want {
			t.Errorf("%q gives %v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"10.0.0.0/7", "0.0.0.0/0", "128.0.0.0/1", "::/0", "2000::/3", "fd00::/31", "fc00::/7", "127.0.0.0/8", "127.0.0.0/31", "::/127", "::/96",
		"::ffff:10.0.0.0/104", "::ffff:127.0.0.1/128", "10.0.0.1", "10.0.0.0/33", "10.0.0/8", "fe80::1%eth0/64", "private", "10.0.0.0/8;10.1.0.0/16", "/8",
	} {
		if got, err := ParseAllow(text); err == nil {
			t.Errorf("%q gives %v", text, got)
		}
	}
	_, err := ParseAllow("10.0.0.0/8,,10.0.0.99,127.0.0.0/8")
	if err == nil || !strings.Contains(err.Error(), "entry 3 is not") || !strings.Contains(err.Error(), "entry 4 has") || strings.Contains(err.Error(), "entry 1") || strings.Contains(err.Error(), "10.0.0.99") {
		t.Errorf("the error does not name what is wrong, or shows it: %v", err)
	}
}

func FuzzParseAllow(f *testing.F) {
	for _, seed := range []string{"10.0.0.0/8,fd00::/32", "127.0.0.1/32", "::ffff:1.2.3.4/128", ",,"} {
		f.Add(seed, "127.0.0.2")
	}
	f.Fuzz(func(t *testing.T, text, address string) {
		allow, err := ParseAllow(text)
		if err != nil {
			return
		}
		for _, p := range allow {
			if p != p.Masked() || p.Addr().Is4() && p.Bits() < 8 || p.Addr().Is6() && p.Bits() < 32 {
				t.Fatalf("%q allows %v", text, p)
			}
		}
		a, err := netip.ParseAddr(address)
		if err == nil && excepted(a, allow) && (a.Zone() != "" || a.Unmap().IsLinkLocalUnicast() || a.Unmap().IsMulticast() || a.IsUnspecified()) {
			t.Fatalf("%q opens %v", text, a)
		}
	})
}
