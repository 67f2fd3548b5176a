// What the kernel takes for a frame written to a tap interface when it throws the frame away at once: the least that a
// stack pays which gives it frames one by one. scripts/bench tap prints it beside what Linux pays for a whole frame
// over veth.
//   write_cost DESCRIPTOR     a tap without a header; prints CPU nanoseconds a frame of 1,514 bytes
#include <sys/uio.h>
#include <time.h>

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdio>
#include <cstring>

namespace {

double cpu_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

}  // namespace

int main(int count, char** words) {
  int descriptor = -1;
  if (count != 2 || std::from_chars(words[1], words[1] + std::strlen(words[1]), descriptor).ec != std::errc()) return 2;
  // Ethernet to a station that is not there, and IPv4's first byte: the kernel looks no further.
  std::array<unsigned char, 54> header{2, 0x11, 0x22, 0x33, 0x44, 0x55, 2, 0, 0, 0, 0, 2, 8, 0, 0x45};
  std::array<unsigned char, 1460> data{};
  std::array<iovec, 2> const parts{iovec{header.data(), header.size()}, iovec{data.data(), data.size()}};
  constexpr int frames = 500'000;
  auto const before = cpu_ns();
  for (int i = 0; i < frames; ++i) {
    if (::writev(descriptor, parts.data(), static_cast<int>(parts.size())) < 0) {
      std::perror("write_cost: writev");
      return 1;
    }
  }
  std::printf("%.1f\n", (cpu_ns() - before) / frames);
}
