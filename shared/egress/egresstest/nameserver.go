package egresstest

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
)

// NameServer is a DNS server on loopback (RFC 1035 §4). It ignores the name asked for and serves
// A records only. Create one with NewNameServer.
type NameServer struct{ conn net.PacketConn }

// NewNameServer starts a server. addresses returns the IPv4 addresses for the nth query, from 0;
// an empty result means NXDOMAIN.
func NewNameServer(addresses func(query int) []netip.Addr) (*NameServer, error) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &NameServer{conn}
	go s.serve(addresses)
	return s, nil
}

// Close stops the server.
func (s *NameServer) Close() error { return s.conn.Close() }

// Resolver returns a resolver that asks this server.
func (s *NameServer) Resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", s.conn.LocalAddr().String())
	}}
}

func (s *NameServer) serve(addresses func(query int) []netip.Addr) {
	buffer := make([]byte, 1500)
	for asked := 0; ; {
		n, from, err := s.conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		question := buffer[:n]
		var found []netip.Addr
		isA := questionType(question) == typeA
		if isA {
			found = addresses(asked)
			asked++
		}
		_, _ = s.conn.WriteTo(dnsAnswer(question, found, isA), from) // the client retries
	}
}

const (
	dnsHeader = 12 // bytes
	typeA     = 1
)

func questionEnd(message []byte) int {
	i := dnsHeader
	for message[i] != 0 {
		i += int(message[i]) + 1
	}
	return i + 5
}

func questionType(message []byte) uint16 {
	return binary.BigEndian.Uint16(message[questionEnd(message)-4:])
}

func dnsAnswer(query []byte, addresses []netip.Addr, isA bool) []byte {
	out := append([]byte{}, query[:questionEnd(query)]...)
	out[2], out[3] = 0x81, 0x80
	if isA && len(addresses) == 0 {
		out[3] |= 3 // NXDOMAIN
	}
	binary.BigEndian.PutUint16(out[6:], uint16(len(addresses)))
	binary.BigEndian.PutUint32(out[8:], 0) // neither authority nor additional records
	for _, a := range addresses {
		out = append(out, 0xc0, dnsHeader, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4)
		out = append(out, a.AsSlice()...)
	}
	return out
}
