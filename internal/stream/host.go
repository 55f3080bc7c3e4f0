package stream

import "net/netip"

// HostOf is what an address counts under where peers are counted: one IPv6 host commonly has a whole /64 to choose from.
func HostOf(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if addr.Is6() && !addr.IsLoopback() {
		p, _ := addr.Prefix(64) // 64 is a valid length
		return p.Addr()
	}
	return addr
}
