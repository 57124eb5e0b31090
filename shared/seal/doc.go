// Package seal makes values that people carry for us, such as a session in a cookie: nobody else can
// read or change them, they end, and they are good for one use of one deployment only.
//
// A value is sealed by AES-256-GCM. Its key is derived by HKDF from a sealing key, from the use, and
// from a salt of its own. The associated data are the public URL of the deployment and the use. The
// result is base64url without padding:
//
//	1 byte    version of this form: 1
//	8 bytes   id of the sealing key
//	16 bytes  salt
//	n bytes   AES-256-GCM of the end (8 bytes, Unix seconds) and the value (JSON)
//	16 bytes  tag
//
// The sealing keys are the enabled versions of one secret (see [Keys]): the newest seals, every one of
// them opens.
package seal
