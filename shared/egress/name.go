package egress

import "strings"

// LooksLikeAddress reports whether host is IPv6 or a notation that some resolver reads as an IPv4
// address (WHATWG URL, "ends in a number": dotted, short, decimal, hex, octal). host must be in
// lower case.
func LooksLikeAddress(host string) bool {
	if strings.Contains(host, ":") {
		return true
	}
	host = strings.TrimSuffix(host, ".")
	last := host[strings.LastIndexByte(host, '.')+1:]
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}

// IsName reports whether host is a DNS name of lower-case letters, digits and hyphens (RFC 1123
// §2.1) within the length limits of RFC 1035 §2.3.4.
func IsName(host string) bool {
	if len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}
