#include "morgana/http/content_type.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>

namespace morgana::http {
namespace {

struct media_type {
  std::string_view extension;
  std::string_view type;
};

constexpr media_type media_types[] = {
    {"avif", "image/avif"},
    {"css", "text/css; charset=utf-8"},
    {"csv", "text/csv; charset=utf-8"},
    {"gif", "image/gif"},
    {"gz", "application/gzip"},
    {"htm", "text/html; charset=utf-8"},
    {"html", "text/html; charset=utf-8"},
    {"ico", "image/vnd.microsoft.icon"},
    {"jpeg", "image/jpeg"},
    {"jpg", "image/jpeg"},
    {"js", "text/javascript; charset=utf-8"},
    {"json", "application/json"},
    {"map", "application/json"},
    {"md", "text/markdown; charset=utf-8"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"mp3", "audio/mpeg"},
    {"mp4", "video/mp4"},
    {"ogg", "audio/ogg"},
    {"otf", "font/otf"},
    {"pdf", "application/pdf"},
    {"png", "image/png"},
    {"svg", "image/svg+xml"},
    {"tar", "application/x-tar"},
    {"ttf", "font/ttf"},
    {"txt", "text/plain; charset=utf-8"},
    {"wasm", "application/wasm"},
    {"wav", "audio/wav"},
    {"webm", "video/webm"},
    {"webmanifest", "application/manifest+json"},
    {"webp", "image/webp"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"xhtml", "application/xhtml+xml"},
    {"xml", "application/xml"},
    {"zip", "application/zip"},
};
static_assert(std::ranges::is_sorted(media_types, {}, &media_type::extension));

constexpr std::size_t extension_bytes_max =
    std::ranges::max(media_types, {}, [](media_type const& one) { return one.extension.size(); }).extension.size();

}  // namespace

std::string_view content_type_of(std::string_view name) {
  constexpr std::string_view unknown = "application/octet-stream";
  auto const dot = name.find_last_of("./");
  if (dot == std::string_view::npos || name[dot] == '/') return unknown;
  auto const extension = name.substr(dot + 1);
  if (extension.size() > extension_bytes_max) return unknown;
  std::array<char, extension_bytes_max> lower{};
  std::ranges::transform(extension, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
  std::string_view const wanted(lower.data(), extension.size());
  auto const found = std::ranges::lower_bound(media_types, wanted, {}, &media_type::extension);
  return found != std::end(media_types) && found->extension == wanted ? found->type : unknown;
}

}  // namespace morgana::http
