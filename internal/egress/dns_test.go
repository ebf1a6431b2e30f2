package egress_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"testing"
)

const (
	typeA    = 1
	typeAAAA = 28
)

// answers gives the addresses of every name at the nth query for IPv4
// addresses, from 0. Nil is a name that does not exist.
type answers func(n int) []netip.Addr

// fixed answers the same each time.
func fixed(addrs ...string) answers {
	return func(int) []netip.Addr { return parse(addrs...) }
}

func parse(addrs ...string) []netip.Addr {
	var as []netip.Addr
	for _, a := range addrs {
		as = append(as, netip.MustParseAddr(a))
	}
	return as
}

// resolver starts a DNS server on loopback and returns a resolver that asks it
// alone. With nil answers the server stays silent.
func resolver(t *testing.T, a answers) *net.Resolver {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatalf("ListenUDP: %v", err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { serveDNS(conn, a) })
	t.Cleanup(func() {
		conn.Close()
		wg.Wait()
	})
	return &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "udp4", conn.LocalAddr().String())
		},
	}
}

func serveDNS(conn *net.UDPConn, a answers) {
	buf := make([]byte, 1500)
	asked := -1
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if a == nil {
			continue
		}
		question, qtype := parseQuestion(buf[:n])
		if qtype == typeA {
			asked++
		}
		// An AAAA query may come before its A query or after it; the IPv6
		// answers of these tests do not change.
		reply := dnsReply(buf[:2], question, qtype, a(max(asked, 0)))
		if _, err := conn.WriteToUDPAddrPort(reply, from); err != nil {
			return
		}
	}
}

// parseQuestion returns the question section of a query with one question.
func parseQuestion(msg []byte) (question []byte, qtype uint16) {
	end := 12
	for msg[end] != 0 {
		end += int(msg[end]) + 1
	}
	return msg[12 : end+5], binary.BigEndian.Uint16(msg[end+1:])
}

func dnsReply(id, question []byte, qtype uint16, addrs []netip.Addr) []byte {
	const response, nameError = 0x8180, 0x8183
	var records []byte
	count := 0
	for _, a := range addrs {
		if a.Is4() != (qtype == typeA) {
			continue
		}
		count++
		raw := a.AsSlice()
		records = append(records, 0xc0, 12) // The name is the question's.
		records = binary.BigEndian.AppendUint16(records, qtype)
		records = append(records, 0, 1, 0, 0, 0, 0, 0, byte(len(raw)))
		records = append(records, raw...)
	}
	flags := uint16(response)
	if addrs == nil {
		flags = nameError
	}
	reply := append([]byte{}, id...)
	for _, field := range []uint16{flags, 1, uint16(count), 0, 0} {
		reply = binary.BigEndian.AppendUint16(reply, field)
	}
	return append(append(reply, question...), records...)
}
