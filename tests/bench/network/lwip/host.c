#include "host.h"

#include <string.h>

#include "lwip/etharp.h"
#include "lwip/init.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/tcp.h"
#include "lwip/timeouts.h"
#include "lwip/udp.h"
#include "netif/ethernet.h"

static struct netif wire_end;
static void (*transmit)(void*, struct frame);
static void* transmit_context;
static uint32_t const* clock_ms;
static struct connection_state* accepting;
static unsigned char application[64 * 1024];

u32_t sys_now(void) { return *clock_ms; }

static struct eth_addr mac_of(unsigned number) {
  struct eth_addr made = {{2, 0, 0, 0, 0, (u8_t)number}};
  return made;
}
static ip4_addr_t address_of(unsigned number) {
  ip4_addr_t made;
  IP4_ADDR(&made, 10, 0, 0, number);
  return made;
}

// ---- the device ----------------------------------------------------------------------------------------

static void release_sent(void* token) { pbuf_free(token); }

static err_t link_output(struct netif* which, struct pbuf* p) {
  (void)which;
  struct pbuf* whole = p;
  if (p->next == NULL) {
    pbuf_ref(p);
  } else {
    whole = pbuf_clone(PBUF_RAW, PBUF_RAM, p);
    if (whole == NULL) return ERR_MEM;
  }
  struct frame one = {whole->payload, whole->len, release_sent, whole};
  transmit(transmit_context, one);
  return ERR_OK;
}

static err_t link_init(struct netif* which) {
  which->name[0] = 'b';
  which->name[1] = 'e';
  which->output = etharp_output;
  which->linkoutput = link_output;
  which->mtu = 1500;
  which->hwaddr_len = 6;
  which->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP;
  return ERR_OK;
}

#ifdef BENCH_LWIP_AS_PORTED
/// What arrived, copied into pbufs of the pool, as lwIP's example drivers do.
static void input(struct frame one) {
  struct pbuf* p = pbuf_alloc(PBUF_RAW, (u16_t)one.size, PBUF_POOL);
  if (p == NULL) abort();
  unsigned done = 0;
  for (struct pbuf* q = p; q != NULL; q = q->next) {
    memcpy(q->payload, one.bytes + done, q->len);
    done += q->len;
  }
  one.release(one.token);
  if (wire_end.input(p, &wire_end) != ERR_OK) pbuf_free(p);
}
#else
/// What arrived, where it lies: the payload of a large frame stays in the sender's memory until it was read.
struct borrowed {
  struct pbuf_custom custom;
  struct frame from;
  struct borrowed* next;
};
static struct borrowed* unused;

static void return_borrowed(struct pbuf* p) {
  struct borrowed* one = (struct borrowed*)p;
  one->from.release(one->from.token);
  one->next = unused;
  unused = one;
}

static void input(struct frame one) {
  enum { small = 200, headers = 14 + 20 };
  // lwIP turns the header's byte order where it lies, so that headers are copied in any case.
  unsigned head = one.size;
  if (one.size > small) head = headers + (one.bytes[headers + 12] >> 4) * 4u;
  struct pbuf* p = pbuf_alloc(PBUF_RAW, (u16_t)head, PBUF_POOL);
  if (p == NULL) abort();
  memcpy(p->payload, one.bytes, head);
  if (head == one.size) {
    one.release(one.token);
  } else {
    struct borrowed* rest = unused;
    if (rest != NULL) {
      unused = rest->next;
    } else {
      rest = malloc(sizeof *rest);
    }
    rest->from = one;
    rest->custom.custom_free_function = return_borrowed;
    pbuf_cat(p, pbuf_alloced_custom(PBUF_RAW, (u16_t)(one.size - head), PBUF_REF, &rest->custom,
                                    (void*)(one.bytes + head), (u16_t)(one.size - head)));
  }
  if (wire_end.input(p, &wire_end) != ERR_OK) pbuf_free(p);
}
#endif

static void start(unsigned number, void (*send)(void*, struct frame), void* context, uint32_t const* now_ms) {
  transmit = send;
  transmit_context = context;
  clock_ms = now_ms;
  lwip_init();
  ip4_addr_t address = address_of(number), mask, none = {0};
  IP4_ADDR(&mask, 255, 255, 255, 0);
  netif_add(&wire_end, &address, &mask, &none, NULL, link_init, ethernet_input);
  struct eth_addr mac = mac_of(number);
  memcpy(wire_end.hwaddr, mac.addr, sizeof mac.addr);
  netif_set_default(&wire_end);
  netif_set_up(&wire_end);
}

// ---- TCP -----------------------------------------------------------------------------------------------

static err_t heard(void* argument, struct tcp_pcb* pcb, struct pbuf* p, err_t error) {
  struct connection_state* one = argument;
  (void)error;
  if (p == NULL) {
    one->is_ended = 1;
    return ERR_OK;
  }
  pbuf_copy_partial(p, application, p->tot_len, 0);
  one->received += p->tot_len;
  tcp_recved(pcb, p->tot_len);
  pbuf_free(p);
  return ERR_OK;
}

static void failed(void* argument, err_t error) {
  (void)argument;
  (void)error;
  abort();
}

static void begin(struct connection_state* one, struct tcp_pcb* pcb) {
  one->pcb = pcb;
  one->received = 0;
  one->is_connected = one->is_ended = 0;
  tcp_nagle_disable(pcb);
  tcp_arg(pcb, one);
  tcp_recv(pcb, heard);
  tcp_err(pcb, failed);
}

static err_t accepted(void* argument, struct tcp_pcb* pcb, err_t error) {
  (void)argument;
  if (error != ERR_OK || pcb == NULL) abort();
  begin(accepting, pcb);
  accepting->is_connected = 1;
  return ERR_OK;
}

static void listen_on(uint16_t port, struct connection_state* next) {
  accepting = next;
  struct tcp_pcb* pcb = tcp_new();
  if (tcp_bind(pcb, IP4_ADDR_ANY, port) != ERR_OK) abort();
  tcp_accept(tcp_listen(pcb), accepted);
}

static err_t established(void* argument, struct tcp_pcb* pcb, err_t error) {
  struct connection_state* one = argument;
  one->is_connected = error == ERR_OK;
  if (one->first == NULL) return ERR_OK;
  // It goes with the acknowledgment, when the segment at hand is done.
  return tcp_write(pcb, one->first, (u16_t)one->first_size, TCP_WRITE_FLAG_COPY);
}

static void connect_to(unsigned number, uint16_t port, struct connection_state* made) {
  struct tcp_pcb* pcb = tcp_new();
  if (pcb == NULL) abort();
  begin(made, pcb);
  ip4_addr_t address = address_of(number);
  if (tcp_connect(pcb, &address, port, established) != ERR_OK) abort();
}

static int write_to(struct connection_state* to, void const* bytes, size_t size) {
  if (tcp_write(to->pcb, bytes, (u16_t)size, TCP_WRITE_FLAG_COPY) != ERR_OK) return 0;
  return tcp_output(to->pcb) == ERR_OK;
}

static void close_it(struct connection_state* one) {
  struct tcp_pcb* pcb = one->pcb;
  tcp_err(pcb, NULL);
  if (tcp_close(pcb) != ERR_OK) abort();
}

// ---- UDP -----------------------------------------------------------------------------------------------

static struct udp_pcb* datagrams;

static void datagram(void* argument, struct udp_pcb* pcb, struct pbuf* p, ip_addr_t const* from, u16_t port) {
  (void)pcb;
  (void)from;
  (void)port;
  pbuf_copy_partial(p, application, p->tot_len, 0);
  ++*(uint64_t*)argument;
  pbuf_free(p);
}

static void bind_to(uint16_t port, uint64_t* received) {
  datagrams = udp_new();
  if (udp_bind(datagrams, IP4_ADDR_ANY, port) != ERR_OK) abort();
  udp_recv(datagrams, datagram, received);
}

static void send_to(unsigned number, uint16_t port, void const* bytes, size_t size) {
  struct pbuf* p = pbuf_alloc(PBUF_TRANSPORT, (u16_t)size, PBUF_RAM);
  if (p == NULL) abort();
  memcpy(p->payload, bytes, size);
  ip4_addr_t address = address_of(number);
  if (udp_sendto(datagrams, p, &address, port) != ERR_OK) abort();
  pbuf_free(p);
}

__attribute__((visibility("default"))) struct lwip_host const* lwip_host_table(void) {
  static struct lwip_host const table = {start, input, sys_check_timeouts, listen_on, connect_to,
                                         write_to, close_it, bind_to, send_to};
  return &table;
}
