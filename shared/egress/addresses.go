package egress

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// specialRanges holds the ranges that contain no public server (IANA special-purpose address
// registries), and the address of Azure's platform, which looks public. IPv6 addresses outside
// assignedIPv6 need no row.
var specialRanges = prefixes(
	"0.0.0.0/8",       // this network
	"10.0.0.0/8",      // private
	"100.64.0.0/10",   // carrier-grade NAT
	"127.0.0.0/8",     // loopback
	"169.254.0.0/16",  // link-local, instance metadata, App Service identity
	"172.16.0.0/12",   // private
	"192.0.0.0/24",    // protocol assignments
	"192.0.2.0/24",    // documentation
	"192.88.99.0/24",  // 6to4 relays
	"192.168.0.0/16",  // private
	"198.18.0.0/15",   // benchmarks
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"224.0.0.0/3",     // multicast, reserved, broadcast
	wireServer,
	"2001::/23",     // protocol assignments, Teredo, ORCHID
	"2001:db8::/32", // documentation
	"2002::/16",     // 6to4
	"3fff::/20",     // documentation
)

// assignedIPv6 contains all IPv6 addresses assigned to networks. Loopback, NAT64, translated,
// unique local, link-local and multicast addresses lie outside.
var assignedIPv6 = netip.MustParsePrefix("2000::/3")

const (
	wireServer  = "168.63.129.16/32" // Azure's platform: DNS, DHCP, health, extensions
	awsMetadata = "fd00:ec2::254/128"
)

// neverAllowed holds the ranges that no setting opens: they lead to the platform or to many hosts
// at once. An unspecified address is dialled as loopback.
var neverAllowed = prefixes("0.0.0.0/8", "169.254.0.0/16", wireServer, "224.0.0.0/4", "255.255.255.255/32",
	"::/128", "fe80::/10", "ff00::/8", awsMetadata,
	"64:ff9b:1::/48") // NAT64 with a network's local prefix (RFC 8215): where the IPv4 address begins is unknown

var loopback = prefixes("127.0.0.0/8", "::1/128")

// embeddingPrefixes holds the IPv6 prefixes whose addresses embed an IPv4 address, and where that
// begins.
var embeddingPrefixes = []struct {
	prefix netip.Prefix
	at     int // byte offset
}{
	{netip.MustParsePrefix("::/96"), 12},
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12},
	{netip.MustParsePrefix("64:ff9b::/96"), 12},
	{netip.MustParsePrefix("2002::/16"), 2},
}

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		out[i] = netip.MustParsePrefix(t)
	}
	return out
}

func within(a netip.Addr, ps []netip.Prefix) bool {
	return slices.ContainsFunc(ps, func(p netip.Prefix) bool { return p.Contains(a) })
}

// public reports whether a is an address of the public Internet.
func public(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsValid() && a.Zone() == "" && (a.Is4() || assignedIPv6.Contains(a)) && !within(a, specialRanges)
}

// excepted reports whether the operator's setting allows a.
func excepted(a netip.Addr, allow []netip.Prefix) bool {
	a = a.Unmap()
	if a.Zone() != "" || within(a, neverAllowed) || !within(a, allow) {
		return false
	}
	v4, ok := embedded(a)
	return !ok || public(v4) || within(v4, allow) && !within(v4, neverAllowed) && !within(v4, loopback)
}

func embedded(a netip.Addr) (netip.Addr, bool) {
	if !a.Is6() || a == netip.IPv6Loopback() {
		return netip.Addr{}, false
	}
	b := a.As16()
	for _, e := range embeddingPrefixes {
		if e.prefix.Contains(a) {
			return netip.AddrFrom4([4]byte(b[e.at : e.at+4])), true
		}
	}
	return netip.Addr{}, false
}

// Shortest prefixes that the setting accepts: one mistyped digit must not open the Internet.
const (
	minBits4 = 8
	minBits6 = 32
)

// ParseAllow parses FHIRLINK_EGRESS_ALLOW: comma-separated CIDRs that may be reached although
// they are not public. Link-local, 168.63.129.16, fd00:ec2::254 and multicast stay closed even
// inside an allowed prefix. The error names every invalid element.
func ParseAllow(text string) ([]netip.Prefix, error) {
	var allow []netip.Prefix
	var wrong []string
	position := 0
	for element := range strings.SplitSeq(text, ",") {
		position++
		element = strings.TrimSpace(element)
		if element == "" {
			continue
		}
		p, why := parsePrefix(element)
		if why != "" {
			wrong = append(wrong, fmt.Sprintf("entry %d %s", position, why))
			continue
		}
		allow = append(allow, p)
	}
	if wrong != nil {
		return nil, fmt.Errorf("%s", strings.Join(wrong, "; "))
	}
	return allow, nil
}

func parsePrefix(text string) (p netip.Prefix, why string) {
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return p, "is not a CIDR such as 10.1.0.0/16 or 10.1.2.3/32"
	case p.Addr().Is4In6():
		return p, "is an IPv4 range in IPv6 notation: write it as IPv4, such as 10.1.0.0/16"
	case p.Addr().Is4() && p.Bits() < minBits4:
		return p, fmt.Sprintf("is too wide: an IPv4 prefix has at least /%d", minBits4)
	case p.Addr().Is6() && p.Bits() < minBits6:
		return p, fmt.Sprintf("is too wide: an IPv6 prefix has at least /%d", minBits6)
	}
	p = p.Masked()
	if !p.IsSingleIP() && slices.ContainsFunc(loopback, p.Overlaps) {
		return p, "has loopback in it, which is allowed as a single address only: 127.0.0.1/32 or ::1/128"
	}
	return p, ""
}
