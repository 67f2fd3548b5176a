// Fuzzes what xenstore's side of the rings may do: any bytes, any indices, at any moment between the client's
// calls. Nothing may be read or written outside of the rings, texts must lie within a message, and what is
// broken stays so.
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "common/interface.hpp"
#include "common/store_client.hpp"

using namespace morgana::xen;

namespace {

struct input {
  unsigned char const* at;
  std::size_t left;
  std::uint32_t number() {
    std::uint32_t value = 0;
    auto const size = left < sizeof value ? left : sizeof value;
    std::memcpy(&value, at, size);
    at += size;
    left -= size;
    return value;
  }
  unsigned char byte() {
    if (left == 0) return 0;
    --left;
    return *at++;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(unsigned char const* data, std::size_t size) {
  input from{data, size};
  // On the heap, so that the sanitizer sees what is beside it.
  auto const page = std::make_unique<store_page>();
  std::memset(static_cast<void*>(page.get()), 0, sizeof *page);
  byte_ring requests(page->requests, page->requests_put, page->requests_taken);
  byte_ring replies(page->replies, page->replies_taken, page->replies_put);
  auto const client = std::make_unique<store_client>();
  while (from.left != 0) {
    switch (from.byte() % 8) {
      case 0:
        page->replies_put = from.number();
        break;
      case 1:
        page->requests_taken = from.number();
        break;
      case 2:
        page->replies_taken = page->requests_put = from.number();
        break;
      case 3:
        static_cast<void>(client->read(from.byte(), 0, "control/shutdown"));
        break;
      case 4:
        static_cast<void>(client->write(from.byte(), 0, "data/exit-status", "70"));
        break;
      case 5:
        client->transmit(requests);
        break;
      case 6:
        for (unsigned count = from.byte(); count != 0 && from.left != 0; --count) {
          page->replies[page->replies_put % sizeof page->replies] = static_cast<std::byte>(from.byte());
          page->replies_put = page->replies_put + 1;
        }
        break;
      default:
        while (auto const event = client->receive(replies)) {
          if (event->text.size() > store_payload_bytes_max || event->token.size() > store_payload_bytes_max) {
            std::abort();
          }
          unsigned sum = 0;
          for (auto const c : event->text) sum += static_cast<unsigned char>(c);
          for (auto const c : event->token) sum += static_cast<unsigned char>(c);
          static_cast<void>(*static_cast<unsigned volatile*>(&sum));
        }
        if (client->is_broken() && client->receive(replies)) std::abort();
    }
  }
  return 0;
}
