// Loads morgana-packetdrill.so as packetdrill does and plays a peer by hand: handshake, data, a
// retransmission, an orderly end, over both families. No packetdrill is needed. Not Catch: the object brings
// a C++ library of its own.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "interface.hpp"

namespace {

int line_of_failure(char const* what, int line) {
  std::fprintf(stderr, "smoke.cpp:%d: %s\n", line, what);
  std::exit(1);
}
#define EXPECT(what) ((what) ? 0 : line_of_failure(#what, __LINE__))

constexpr std::uint8_t fin = 1, syn = 2, psh = 8, ack = 16;

struct peer {
  packetdrill_interface& stack;
  bool is_v6;
  std::uint32_t next = 1'000;  ///< ours
  std::uint32_t theirs = 0;
  std::array<std::uint8_t, 65'600> bytes{};

  [[nodiscard]] std::size_t ip_bytes() const { return is_v6 ? 40 : 20; }
  static void put(std::uint8_t* at, std::uint32_t value, int size) {
    for (int i = 0; i < size; ++i) at[i] = static_cast<std::uint8_t>(value >> 8 * (size - 1 - i));
  }
  static std::uint32_t get(std::uint8_t const* at, int size) {
    std::uint32_t value = 0;
    for (int i = 0; i < size; ++i) value = value << 8 | at[i];
    return value;
  }
  static std::uint32_t sum(std::uint8_t const* at, std::size_t size, std::uint32_t value = 0) {
    for (std::size_t i = 0; i < size; ++i) value += std::uint32_t{at[i]} << (i % 2 == 0 ? 8 : 0);
    return value;
  }
  static std::uint16_t fold(std::uint32_t value) {
    while (value >> 16 != 0) value = (value & 0xffff) + (value >> 16);
    return static_cast<std::uint16_t>(~value);
  }

  void send(std::uint8_t flags, std::size_t payload = 0) {
    std::vector<std::uint8_t> all(ip_bytes() + 20 + payload, 'x');
    auto* const tcp = all.data() + ip_bytes();
    auto const size = static_cast<std::uint32_t>(all.size() - ip_bytes());
    std::memset(all.data(), 0, ip_bytes() + 20);
    std::uint32_t total = size + 6;
    if (is_v6) {
      all[0] = 0x60;
      put(all.data() + 4, size, 2);
      all[6] = 6;
      all[7] = 64;
      inet_pton(AF_INET6, "fd3d:fa7b:d17d::1", all.data() + 8);
      inet_pton(AF_INET6, "fd3d:a0b:17d6::1", all.data() + 24);
      total = sum(all.data() + 8, 32, total);
    } else {
      all[0] = 0x45;
      put(all.data() + 2, static_cast<std::uint32_t>(all.size()), 2);
      all[8] = 64;
      all[9] = 6;
      inet_pton(AF_INET, "192.0.2.1", all.data() + 12);
      inet_pton(AF_INET, "192.168.0.1", all.data() + 16);
      put(all.data() + 10, fold(sum(all.data(), 20)), 2);
      total = sum(all.data() + 12, 8, total);
    }
    put(tcp, 40'000, 2);
    put(tcp + 2, 8'080, 2);
    put(tcp + 4, next, 4);
    put(tcp + 8, theirs, 4);
    tcp[12] = 0x50;
    tcp[13] = flags;
    put(tcp + 14, 60'000, 2);
    put(tcp + 16, fold(sum(tcp, size, total)), 2);
    next += static_cast<std::uint32_t>(payload) + ((flags & (syn | fin)) != 0 ? 1 : 0);
    EXPECT(stack.netdev_send(stack.userdata, all.data(), all.size()) == 0);
  }

  struct segment {
    std::uint8_t flags;
    std::uint32_t sequence, acknowledgment;
    std::size_t payload;
    long long at_us;
  };
  segment receive() {
    std::size_t size = bytes.size();
    long long at = 0;
    EXPECT(stack.netdev_receive(stack.userdata, bytes.data(), &size, &at) == 0);
    EXPECT(size >= ip_bytes() + 20);
    EXPECT(bytes[0] >> 4 == (is_v6 ? 6 : 4));
    auto const* const tcp = bytes.data() + ip_bytes();
    return {tcp[13], get(tcp + 4, 4), get(tcp + 8, 4), size - ip_bytes() - (tcp[12] >> 4) * 4u, at};
  }
};

void play(packetdrill_interface& stack, bool is_v6) {
  auto* const all = stack.userdata;
  peer other{stack, is_v6};
  sockaddr_storage where{};
  socklen_t size = sizeof(sockaddr_in);
  if (is_v6) {
    auto& in = reinterpret_cast<sockaddr_in6&>(where);
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(8080);
    inet_pton(AF_INET6, "fd3d:a0b:17d6::1", &in.sin6_addr);
    size = sizeof in;
  } else {
    auto& in = reinterpret_cast<sockaddr_in&>(where);
    in.sin_family = AF_INET;
    in.sin_port = htons(8080);
    inet_pton(AF_INET, "192.168.0.1", &in.sin_addr);
  }
  int const listening = stack.socket(all, is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM, IPPROTO_TCP);
  EXPECT(listening >= 0);
  EXPECT(stack.bind(all, listening, reinterpret_cast<sockaddr*>(&where), size) == 0);
  EXPECT(stack.listen(all, listening, 1) == 0);

  // Handshake.
  other.send(syn);
  auto answer = other.receive();
  EXPECT(answer.flags == (syn | ack) && answer.acknowledgment == 1'001);
  other.theirs = answer.sequence + 1;
  other.send(ack);
  int const connection = stack.accept(all, listening, nullptr, nullptr);
  EXPECT(connection >= 0);

  // Data both ways.
  other.send(psh | ack, 100);
  answer = other.receive();
  EXPECT(answer.flags == ack && answer.acknowledgment == 1'101);
  std::array<char, 200> room{};
  EXPECT(stack.read(all, connection, room.data(), room.size()) == 100);
  std::array<char, 300> const bytes{};
  EXPECT(stack.write(all, connection, bytes.data(), bytes.size()) == 300);
  auto const first = other.receive();
  EXPECT(first.flags == (psh | ack) && first.payload == 300 && first.sequence == other.theirs);

  // Not acknowledged: the same once more, after the retransmission timeout of at least 200 ms.
  auto const again = other.receive();
  EXPECT(again.payload == 300 && again.sequence == first.sequence && again.at_us - first.at_us >= 200'000);
  other.theirs += 300;
  other.send(ack);

  // The end.
  EXPECT(stack.close(all, connection) == 0);
  answer = other.receive();
  EXPECT(answer.flags == (fin | ack));
  other.theirs += 1;
  other.send(fin | ack);
  answer = other.receive();
  EXPECT(answer.flags == ack && answer.acknowledgment == other.next);
  EXPECT(stack.close(all, listening) == 0);
}

}  // namespace

int main(int count, char** arguments) {
  EXPECT(count == 2);
  auto* const object = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  if (object == nullptr) return line_of_failure(dlerror(), __LINE__);
  auto const init = reinterpret_cast<void (*)(char const*, packetdrill_interface*)>(
      dlsym(object, "packetdrill_interface_init"));
  EXPECT(init != nullptr);
  for (bool const is_v6 : {false, true}) {
    packetdrill_interface stack{};
    init(is_v6 ? "mtu=1520" : "mtu=1500", &stack);
    play(stack, is_v6);
    stack.free(stack.userdata);
  }
  std::puts("the object plays both families");
}
