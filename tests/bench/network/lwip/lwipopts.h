// lwIP for the benchmark: the raw API without an operating system, room enough that no limit is felt, every checksum made
// and verified, as ours are, and of what it can do for speed what is fastest: opt.h's checksum, which clang makes a loop
// of vectors, is twice as fast as the ones unrolled by hand and combined with the copy.
//
// BENCH_LWIP_AS_PORTED is lwIP as whoever ports it by its example drivers has it: a window of 64 KiB, frames copied into
// the receiver's pool of pbufs (host.c).
#pragma once

#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_STATS 0
#define LWIP_NOASSERT 1
#define LWIP_DEBUG 0
#define LWIP_IPV4 1
#define LWIP_IPV6 0
#define LWIP_ICMP 1
#define LWIP_UDP 1
#define LWIP_TCP 1
#define LWIP_SINGLE_NETIF 1
#define LWIP_NETIF_TX_SINGLE_PBUF 1
#define LWIP_SUPPORT_CUSTOM_PBUF 1
#define IP_REASSEMBLY 1

#define MEM_ALIGNMENT 8
#define MEM_SIZE (16 * 1024 * 1024)
#define MEMP_NUM_PBUF 4096
#define MEMP_NUM_TCP_PCB 16          /* few in TIME-WAIT: it looks at each of them for every segment */
#define MEMP_NUM_TCP_SEG 4096
#define MEMP_NUM_UDP_PCB 4
#define PBUF_POOL_SIZE 4096

#define TCP_MSS 1460
#ifdef BENCH_LWIP_AS_PORTED
#define TCP_WND 65535
#define TCP_SND_BUF 65535
#else
#define PBUF_POOL_BUFSIZE 256
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 3
#define TCP_WND (256 * 1024)
#define TCP_SND_BUF (128 * 1024)
#endif
#define TCP_SND_QUEUELEN 1024
#define TCP_SNDLOWAT 2048
#define TCP_OVERSIZE TCP_MSS
#define LWIP_TCP_SACK_OUT 0
#define LWIP_TCP_TIMESTAMPS 0
