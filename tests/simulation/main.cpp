// morgana-simulate: whole networks of stacks in one process, each run a function of its seed.
//
//   morgana-simulate --seeds 1..2000          every seed of the range; reports each that fails
//   morgana-simulate --seeds 1..2000 --first  the same, up to the first that fails
//   morgana-simulate --seed 17 --verbose      one, with its plan
//   morgana-simulate --seed 17 --without f0,c2 --pcap 17.pcap
//   morgana-simulate --goodput                goodput by congestion control, loss, round trip and buffer
//   morgana-simulate --seed 17 --minimise     leaves out what is not needed for the failure
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "goodput.hpp"
#include "plan.hpp"
#include "scenario.hpp"

using namespace morgana::simulation;

namespace {

struct arguments {
  std::uint64_t first = 1, last = 100;
  bool is_single = false, is_verbose = false, minimises = false, stops_at_first = false;
  omissions without;
  std::string pcap, file, revision;
};

[[noreturn]] void usage(std::string_view what) {
  std::fprintf(
      stderr,
      "morgana-simulate: %.*s\n"
      "usage: morgana-simulate [--seeds A..B | --seed N | --file SEEDS] [--without ITEM,...] [--verbose]\n"
      "                        [--pcap FILE] [--minimise] [--first] [--goodput]\n",
      static_cast<int>(what.size()), what.data());
  std::exit(2);
}

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) usage("not a number: " + std::string(text));
  return value;
}

omissions split(std::string_view text) {
  omissions all;
  while (!text.empty()) {
    auto const comma = text.find(',');
    all.emplace_back(text.substr(0, comma));
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  return all;
}

std::string join(omissions const& all) {
  std::string text;
  for (auto const& one : all) text += (text.empty() ? "" : ",") + one;
  return text;
}

arguments parse(int count, char** values) {
  arguments all;
  for (int i = 1; i < count; ++i) {
    std::string_view const name = values[i];
    auto const value = [&] {
      if (i + 1 == count) usage(std::string(name) + " needs a value");
      return std::string_view(values[++i]);
    };
    if (name == "--seeds") {
      auto const range = value();
      auto const dots = range.find("..");
      if (dots == std::string_view::npos) usage("--seeds is A..B");
      all.first = number(range.substr(0, dots));
      all.last = number(range.substr(dots + 2));
    } else if (name == "--seed") {
      all.first = all.last = number(value());
      all.is_single = true;
    } else if (name == "--file") {
      all.file = value();
    } else if (name == "--without") {
      all.without = split(value());
    } else if (name == "--pcap") {
      all.pcap = value();
    } else if (name == "--verbose") {
      all.is_verbose = true;
    } else if (name == "--goodput") {
      std::fputs(goodput_table().c_str(), stdout);
      std::exit(0);
    } else if (name == "--first") {
      all.stops_at_first = true;
    } else if (name == "--minimise") {
      all.minimises = true;
    } else {
      usage("unknown argument " + std::string(name));
    }
  }
  return all;
}

/// Leaves out one item after the other, as long as the run still fails, until none can be spared.
omissions minimise(std::uint64_t seed, omissions without) {
  for (bool spared = true; spared;) {
    spared = false;
    for (auto const& item : items(make_plan(seed, without))) {
      auto fewer = without;
      fewer.push_back(item);
      auto const smaller = make_plan(seed, fewer);
      if (smaller.conversations.empty() && smaller.datagrams.empty()) continue;
      if (run(smaller).violation.empty()) continue;
      without = fewer;
      spared = true;
    }
  }
  return without;
}

void report_failure(std::uint64_t seed, omissions const& without, run_report const& found) {
  std::printf("FAILED SEED=%llu REVISION=%s: %s\n  replay: morgana-simulate --seed %llu%s%s --verbose\n",
              static_cast<unsigned long long>(seed), MORGANA_REVISION, found.violation.c_str(),
              static_cast<unsigned long long>(seed), without.empty() ? "" : " --without ",
              join(without).c_str());
}

/// Seeds that once failed: a number at the start of each line, `#` begins a comment.
std::vector<std::uint64_t> read_seeds(std::string const& path) {
  std::ifstream in(path);
  if (!in) usage("cannot read " + path);
  std::vector<std::uint64_t> seeds;
  for (std::string line; std::getline(in, line);) {
    auto const end = line.find_first_not_of("0123456789");
    if (end == 0 || line.empty()) continue;
    seeds.push_back(number(std::string_view(line).substr(0, end)));
  }
  return seeds;
}

}  // namespace

int main(int count, char** values) {
  auto const all = parse(count, values);
  std::vector<std::uint64_t> seeds;
  if (!all.file.empty()) {
    seeds = read_seeds(all.file);
  } else {
    for (auto seed = all.first; seed <= all.last; ++seed) seeds.push_back(seed);
  }
  auto const begun = std::chrono::steady_clock::now();
  std::uint64_t failures = 0, frames = 0, bytes = 0, complete = 0, failed = 0, retransmitted = 0, trace = 0;
  for (auto const seed : seeds) {
    auto without = all.without;
    auto found = run(make_plan(seed, without), {.pcap = all.is_single && !all.minimises ? all.pcap : ""});
    if (!found.violation.empty() && all.minimises) {
      without = minimise(seed, without);
      found = run(make_plan(seed, without), {.pcap = all.pcap});
    }
    if (all.is_verbose) {
      std::printf("seed %llu: %s", static_cast<unsigned long long>(seed),
                  describe(make_plan(seed, without)).c_str());
      std::fputs(found.hosts.c_str(), stdout);
      std::printf(
          "  trace %016llx, %llu frames, %llu events, %lld ms, %llu bytes, %llu of %llu segments again, %llu "
          "needlessly\n",
          static_cast<unsigned long long>(found.trace), static_cast<unsigned long long>(found.frames),
          static_cast<unsigned long long>(found.events),
          static_cast<long long>(found.virtual_time.count() / 1'000'000),
          static_cast<unsigned long long>(found.bytes),
          static_cast<unsigned long long>(found.retransmissions),
          static_cast<unsigned long long>(found.data_segments),
          static_cast<unsigned long long>(found.needless));
    }
    if (!found.violation.empty()) {
      ++failures;
      report_failure(seed, without, found);
      std::fflush(stdout);
    }
    if (failures != 0 && all.stops_at_first) break;
    frames += found.frames;
    bytes += found.bytes;
    complete += found.complete;
    failed += found.failed;
    retransmitted += found.retransmissions;
    trace = trace * 0x9fb2'1c65'1e98'df25u + found.trace;
  }
  auto const took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  std::printf(
      "%zu seeds, %llu failed; trace %016llx; %llu frames, %llu stream bytes, %llu sides complete, %llu "
      "ended in "
      "errors, %llu retransmissions; %.1f seeds/s, %.0f frames/s\n",
      seeds.size(), static_cast<unsigned long long>(failures), static_cast<unsigned long long>(trace),
      static_cast<unsigned long long>(frames), static_cast<unsigned long long>(bytes),
      static_cast<unsigned long long>(complete), static_cast<unsigned long long>(failed),
      static_cast<unsigned long long>(retransmitted), static_cast<double>(seeds.size()) / took,
      static_cast<double>(frames) / took);
  return failures == 0 ? 0 : 1;
}
