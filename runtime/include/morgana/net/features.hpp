// What of the network an image has: constants of the whole image, which the generated main defines as unikernel.toml says
// ([devices.network] ipv6 = false). Packages are compiled once, for all images; link-time optimisation reads these
// values, and what only a left-out part would have run is not in the image. Tests and programs that define none have
// everything (features.cpp).
//
// What is left out behaves as on a host without it: frames of it are dropped and counted (core_counters::not_for_us),
// its boot options do not exist, and who asks for it in code gets an error, which the function that he calls names.
// Nothing of it works half.
#pragma once

namespace morgana::net::features {

/// IPv6 with neighbour discovery, router advertisements and MLD. Without it a socket that listens on `::` listens on
/// IPv4 alone; other IPv6 addresses are nobody's and unreachable.
extern bool const ipv6;

/// Addresses by DHCP and DHCPv6. Without it they come from options and from routers.
extern bool const dhcp;

/// Reassembly of what arrives in fragments, and fragments of what is larger than a packet. Without it fragments are dropped
/// and counted (core_counters::frames_dropped), and a datagram that no packet holds is net_error::message_too_long. TCP's
/// segments never are fragments, unless a middlebox makes them so.
extern bool const fragments;

/// TCP Fast Open (RFC 7413). Without it data waits for the handshake, as with peers that do not know it.
extern bool const fast_open;

/// TCP's short ways for what a connection expects next (tcp/prediction.cpp). Without them everything is done by the
/// ordinary way, which does the same with more instructions.
extern bool const prediction;

}  // namespace morgana::net::features
