// Fuzzes what a network backend may do with the two rings and the pages it was lent: any responses, any indices, any
// grant kept mapped, at any moment. Nothing may be read or written outside of the rings and pages, frames must lie
// within their bounds, and what is broken stays so.
#include <cstdlib>
#include <cstring>
#include <memory>

#include "common/driver_host.hpp"
#include "common/net_receive.hpp"
#include "common/net_transmit.hpp"
#include "input.hpp"

using namespace morgana;
using namespace morgana::xen;

driver_host* driver_host::of_guest() {
  return nullptr;
}

namespace {

struct no_store final : store_link {
  void attach(store_user&) override {}
  [[nodiscard]] store_client& client() override { return one; }
  void flush() override {}
  store_client one;
};

struct host final : driver_host {
  explicit host(store_link& link) : driver_host(link) { grants.start(table); }
  [[nodiscard]] result<event_port> open_port(domain) override { return event_port{1}; }
  void close_port(event_port) override {}
  void send_event(event_port) override {}
  [[nodiscard]] std::uint32_t frame_of(void const*) const override { return 1; }
  std::array<grant_entry, 128> table{};
};

using fuzz::require;

net::segment frame_of(fuzz::input& from, net::buffer_pool& pool) {
  net::segment out;
  (void)out.push_header(from.take() % 129u);
  for (auto parts = from.take() % 19u; parts != 0; --parts) {
    (void)out.append(pool.take_slice(from.take16() % (pool.buffer_bytes() + 1)));
  }
  out.gso_kind = static_cast<net::segmentation>(from.take() % 3);
  out.gso_size = from.take16();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(unsigned char const* data, std::size_t size) {
  fuzz::input from{{data, size}};
  no_store link;
  host on(link);
  page_pool receive_pages(on, 0, grant_access::read_write, 48), transmit_pages(on, 0, grant_access::read_only, 40);
  // Pages of the heap each, so that the sanitizer sees what is beside them.
  auto const receive_ring = on.take_pages(1), transmit_ring = on.take_pages(1);
  {
    net_receiver receiver(receive_ring, receive_pages, 40, 16);
    net_transmitter transmitter(transmit_ring, transmit_pages);
    net::buffer_pool pool(4000, 80'000);
    std::array<net::segment, 8> kept;
    auto& receive_head = *reinterpret_cast<ring_head*>(receive_ring.data());
    auto& transmit_head = *reinterpret_cast<ring_head*>(transmit_ring.data());
    (void)receiver.refill();
    while (!from.empty()) {
      auto const had_lied = !receiver.lie().empty(), had_lied_too = !transmitter.lie().empty();
      switch (from.take() % 12) {
        case 0: {
          // A response as it should be, or nearly.
          net_wire::receive_response const response{
              .id = static_cast<std::uint16_t>(receive_head.responses_put % 256 + (from.take() == 0)),
              .offset = static_cast<std::uint16_t>(from.take() % 4 == 0 ? from.take16() : 0),
              .flags = static_cast<std::uint16_t>(from.take() % 32),
              .status = static_cast<std::int16_t>(from.take16() % 4200 - 3)};
          std::memcpy(receive_ring.data() + sizeof(ring_head) + receive_head.responses_put % 256 * 8, &response, 8);
          ++receive_head.responses_put;
          break;
        }
        case 1: {
          auto const bytes = from.take_bytes(8);
          std::memcpy(receive_ring.data() + sizeof(ring_head) + receive_head.responses_put % 256 * 8, bytes.data(),
                      bytes.size());
          ++receive_head.responses_put;
          break;
        }
        case 2: {
          net_wire::transmit_response const response{.id = static_cast<std::uint16_t>(from.take()),
                                                     .status = static_cast<std::int16_t>(from.take() % 4 - 2)};
          std::memcpy(transmit_ring.data() + sizeof(ring_head) + transmit_head.responses_put % 256 * 12, &response, 4);
          ++transmit_head.responses_put;
          break;
        }
        case 3:
          if (from.take() % 8 == 0) receive_head.responses_put = from.take32();
          break;
        case 4:
          if (from.take() % 8 == 0) transmit_head.responses_put = from.take32();
          break;
        case 5: receive_head.request_event = from.take32(); break;
        case 6:
          // Keeps a page mapped, or lets it go.
          on.table[from.take() % on.table.size()].flags ^= grant_is_written;
          break;
        case 7: (void)receiver.refill(); break;
        case 8: {
          auto& into = kept[from.take() % kept.size()];
          net::segment came;
          if (!receiver.next(came)) break;
          require(!had_lied);
          require(came.size() >= 14 && came.size() <= net::segment_bytes_max);
          if (came.checksum == net::checksum_state::partial) {
            require(std::size_t{came.checksum_start} + came.checksum_offset + 2 <= came.size());
          }
          if (came.gso_kind != net::segmentation::none) require(came.gso_size != 0);
          unsigned sum = 0;
          for (auto const& part : came.slices()) {
            for (auto const byte : part.bytes()) sum += static_cast<unsigned>(byte);
          }
          static_cast<void>(*static_cast<unsigned volatile*>(&sum));
          into = std::move(came);
          break;
        }
        case 9: {
          auto const frame = frame_of(from, pool);
          if (frame.size() != 0 && frame.size() <= net_wire::frame_bytes_max && transmitter.put(frame)) {
            require(!had_lied_too);
          }
          break;
        }
        case 10: (void)transmitter.publish(); break;
        default:
          (void)transmitter.sleep();
          (void)receiver.sleep();
      }
      require(!had_lied || !receiver.lie().empty());
      require(!had_lied_too || !transmitter.lie().empty());
      require(receiver.posted() <= 40);
    }
    for (auto& entry : on.table) entry.flags &= static_cast<std::uint16_t>(~grant_is_written);
    require(receiver.take_back());
  }
  require(receive_pages.free() == receive_pages.made());
  require(transmit_pages.free() == transmit_pages.made());
  require(receive_pages.end() && transmit_pages.end());
  require(on.grants.used() == 0 && on.grants.stuck() == 0);
  std::free(receive_ring.data());
  std::free(transmit_ring.data());
  return 0;
}
