/* The other side of the channel org.openmirage.entropy.1, as a program of dom0's: maps the page that a guest
 * shares, waits for its greeting, answers it and gives it bytes of standard input for as long as it takes
 * them. xen_entropy_backend DOMAIN RING-REF PORT < /dev/urandom The page is of the console's form (Xen's
 * io/console.h); the protocol is xentropyd's. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
/* Linux' headers leave these to Xen's. */
typedef uint16_t domid_t;
typedef uint32_t grant_ref_t;
#include <xen/evtchn.h>
#include <xen/gntdev.h>

struct page {
  uint8_t input[1024], output[2048];
  uint32_t input_taken, input_put, output_taken, output_put;
};

static struct page* page;
static int events;
static uint32_t port;

static void must(int holds, char const* what) {
  if (holds) return;
  perror(what);
  exit(1);
}

static void tell(void) {
  struct ioctl_evtchn_notify notify = {port};
  must(ioctl(events, IOCTL_EVTCHN_NOTIFY, &notify) == 0, "notify");
}

static void wait_for_event(void) {
  uint32_t which;
  must(read(events, &which, sizeof which) == sizeof which, "an event");
  must(write(events, &which, sizeof which) == sizeof which, "unmask");
}

static uint8_t hear(void) {
  while (__atomic_load_n(&page->output_put, __ATOMIC_ACQUIRE) == page->output_taken) wait_for_event();
  uint8_t const letter = page->output[page->output_taken % sizeof page->output];
  __atomic_store_n(&page->output_taken, page->output_taken + 1, __ATOMIC_RELEASE);
  return letter;
}

static void say(uint8_t const* bytes, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    while (page->input_put - __atomic_load_n(&page->input_taken, __ATOMIC_ACQUIRE) == sizeof page->input) {
      tell();
      wait_for_event();
    }
    page->input[page->input_put % sizeof page->input] = bytes[i];
    __atomic_store_n(&page->input_put, page->input_put + 1, __ATOMIC_RELEASE);
  }
  tell();
}

int main(int count, char** words) {
  static char const greeting[] = "Hello, may I have some entropy?\r\n";
  static char const answer[] = "You may treat everything following this message as entropy.\r\n";
  must(count == 4, "three arguments");
  uint32_t const domain = (uint32_t)atoi(words[1]);
  int const grants = open("/dev/xen/gntdev", O_RDWR);
  struct ioctl_gntdev_map_grant_ref map = {.count = 1, .refs = {{domain, (uint32_t)atoi(words[2])}}};
  must(grants >= 0 && ioctl(grants, IOCTL_GNTDEV_MAP_GRANT_REF, &map) == 0, "map the grant");
  page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, grants, (off_t)map.index);
  must(page != MAP_FAILED, "map the page");
  events = open("/dev/xen/evtchn", O_RDWR);
  struct ioctl_evtchn_bind_interdomain bind = {domain, (uint32_t)atoi(words[3])};
  int const bound = events < 0 ? -1 : ioctl(events, IOCTL_EVTCHN_BIND_INTERDOMAIN, &bind);
  must(bound >= 0, "bind the port");
  port = (uint32_t)bound;
  for (size_t i = 0; i < sizeof greeting - 1; ++i) {
    if (hear() == greeting[i]) continue;
    fprintf(stderr, "the guest's greeting is another one\n");
    return 1;
  }
  printf("greeted\n");
  fflush(stdout);
  say((uint8_t const*)answer, sizeof answer - 1);
  for (;;) {
    uint8_t piece[64];
    ssize_t const size = read(0, piece, sizeof piece);
    must(size > 0, "randomness");
    say(piece, (size_t)size);
  }
}
