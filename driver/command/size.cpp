// `morgana size`: who owns the image's bytes.
#include <fmt/format.h>

#include <algorithm>

#include "command/commands.hpp"
#include "workspace/image_map.hpp"

namespace morgana::driver {
namespace {

struct row {
  std::string name;
  std::uint64_t bytes = 0;
};

std::string key_of(image_piece const& piece, std::string const& by) {
  if (by == "package") return piece.package;
  if (by == "symbol") return piece.symbol;
  if (piece.file == piece.package) return piece.file;
  return fmt::format("{} {}", piece.package, piece.file);
}

}  // namespace

int size_command(output& out, size_arguments const& with) {
  auto state = ensure_built(out, with.place);
  if (!state) return out.report(state.error());
  auto const root = with.place.build_root();
  auto pieces = read_image(artefact(*state, root, "image"), artefact(*state, root, "map"));
  if (!pieces) return out.report(pieces.error());

  std::map<std::string, std::uint64_t> sums;
  std::uint64_t total = 0;
  for (auto const& piece : *pieces) {
    sums[key_of(piece, with.by)] += piece.bytes;
    total += piece.bytes;
  }
  std::vector<row> rows;
  for (auto const& [name, bytes] : sums)
    rows.push_back({with.by == "symbol" ? demangled(name) : name, bytes});
  std::ranges::sort(rows, [](row const& left, row const& right) {
    return left.bytes != right.bytes ? left.bytes > right.bytes : left.name < right.name;
  });

  auto json = nlohmann::ordered_json::array();
  for (auto const& one : rows) json.push_back({{"name", one.name}, {"bytes", one.bytes}});
  std::string text;
  auto const shown = with.most == 0 ? rows.size() : std::min(with.most, rows.size());
  for (std::size_t i = 0; i < shown; ++i) {
    text += fmt::format(
        "{:>9}  {:>5.1f}%  {}\n", rows[i].bytes,
        total == 0 ? 0.0 : 100.0 * static_cast<double>(rows[i].bytes) / static_cast<double>(total),
        rows[i].name);
  }
  if (shown < rows.size()) {
    std::uint64_t rest = 0;
    for (auto i = shown; i < rows.size(); ++i) rest += rows[i].bytes;
    text += fmt::format("{:>9}         {} more (`--top 0` shows all)\n", rest, rows.size() - shown);
  }
  text += fmt::format("{:>9}         {}\n", total, state->name);
  out.result(text, {{"kind", "size"}, {"by", with.by}, {"total", total}, {"rows", json}});
  return exit_code::done;
}

}  // namespace morgana::driver
