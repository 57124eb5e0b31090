package smart

import (
	"crypto/sha1" // RFC 9562 prescribes SHA-1 for version 5; nothing secret depends on it
	"fmt"
)

// namespace is the version 5 UUID of the name "urn:fhirlink:entra" in the URL namespace. It must
// never change, because the ids of permissions registered in Entra depend on it.
var namespace = nameUUID([16]byte{0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}, "urn:fhirlink:entra")

// permissionID returns the stable id of a permission: a version 5 UUID over its kind, resource
// and value. None of them contains a line break.
func permissionID(kind, resource, value string) string {
	u := nameUUID(namespace, kind+"\n"+resource+"\n"+value)
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// nameUUID computes a version 5 UUID (RFC 9562 section 5.5).
func nameUUID(space [16]byte, name string) [16]byte {
	sum := sha1.Sum(append(space[:], name...))
	u := [16]byte(sum[:16])
	u[6] = u[6]&0x0f | 0x50
	u[8] = u[8]&0x3f | 0x80
	return u
}
