// A folder's files in the image: the table that morgana::embedded_store reads.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "morgana/driver/codegen.hpp"
#include "runtime/include/morgana/storage/content_hash.hpp"

namespace morgana::driver {
namespace {

namespace fs = std::filesystem;

/// As morgana::key_bytes_max.
constexpr std::size_t key_bytes_max = 1024;

struct close_file {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

outcome<embedded_file> read_one(fs::path const& path, std::string key) {
  std::unique_ptr<std::FILE, close_file> const file(std::fopen(path.c_str(), "rbe"));
  embedded_file out{.key = std::move(key), .name = path.generic_string()};
  storage::content_hasher hash;
  if (file) {
    unsigned char buffer[64 * 1024];
    while (auto const count = std::fread(buffer, 1, sizeof buffer, file.get())) {
      hash.add(std::span<unsigned char const>(buffer, count));
      out.size_bytes += count;
    }
  }
  if (!file || std::ferror(file.get()) != 0) {
    return fail({.code = "unreadable-file",
                 .message = fmt::format("cannot read `{}`, which is to be embedded", path.string()),
                 .where = source_location{.file = path}});
  }
  out.content_hash = hash.value();
  return out;
}

/// What #embed and a depfile can name without quoting, and a key can hold.
bool is_key(std::string_view key) {
  return key.size() <= key_bytes_max && std::ranges::none_of(key, [](char c) {
           auto const byte = static_cast<unsigned char>(c);
           return byte < 0x20 || byte == 0x7f || c == '"' || c == '\\';
         });
}

outcome<void> read_below(fs::path const& folder, std::string const& prefix, embedded_folder& into) {
  into.dependencies.push_back(folder.generic_string());
  std::vector<fs::directory_entry> entries;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    entries.push_back(*at);
  }
  if (error) {
    return fail({.code = "unreadable-file",
                 .message = fmt::format("cannot read the folder `{}`: {}", folder.string(), error.message()),
                 .where = source_location{.file = folder}});
  }
  std::ranges::sort(entries);
  for (auto const& entry : entries) {
    auto const name = entry.path().filename().string();
    // Editors' and version control's own; a link could lead anywhere.
    if (name.starts_with('.') || name.ends_with('~') || entry.is_symlink(error)) continue;
    if (entry.is_directory(error)) {
      if (auto done = read_below(entry.path(), prefix + name + '/', into); !done) return done;
      continue;
    }
    if (!entry.is_regular_file(error)) continue;
    auto key = prefix + name;
    if (!is_key(key)) {
      return fail(
          {.code = "invalid-key",
           .message = fmt::format("`{}` cannot be embedded: its name cannot be a key", key),
           .where = source_location{.file = entry.path()},
           .help = {"rename the file: no quotes, backslashes or control characters, at most 1024 bytes"}});
    }
    auto one = read_one(entry.path(), std::move(key));
    if (!one) return fail(std::move(one));
    into.dependencies.push_back(one->name);
    into.files.push_back(*std::move(one));
  }
  return {};
}

}  // namespace

std::string embed_table(std::string_view node) {
  return fmt::format("embedded_{}", node);
}

std::string embed_header(std::string_view table) {
  return fmt::format(
      "// Written by `morgana configure`: a folder's files, as {0}.gen.cpp holds them.\n"
      "#pragma once\n\n"
      "#include \"morgana/storage/embedded_store.hpp\"\n\n"
      "namespace morgana::app {{\n"
      "extern embedded_table const {0};\n"
      "}}  // namespace morgana::app\n",
      table);
}

std::string embed_source(std::string_view table, embedded_folder const& folder) {
  auto out = fmt::format(
      "// Written by `morgana internal embed`, which Ninja runs when a file of the folder changes.\n"
      "#include \"{}.gen.hpp\"\n\n"
      "namespace morgana::app {{\n",
      table);
  auto const& files = folder.files;
  if (files.empty()) {
    out += fmt::format("constinit embedded_table const {}{{{{}}}};\n", table);
  } else {
    out += "namespace {\n\n";
    for (std::size_t i = 0; i < files.size(); ++i) {
      if (files[i].size_bytes == 0) continue;
      out += fmt::format("alignas(16) constexpr unsigned char file_{}[] = {{\n#embed \"{}\"\n}};\n", i,
                         files[i].name);
    }
    out += "\nconstexpr embedded_file files[] = {\n";
    for (std::size_t i = 0; i < files.size(); ++i) {
      auto const& file = files[i];
      out += fmt::format(
          "    {{.key = {}, .bytes = {},\n"
          "     .information = {{.size_bytes = {}, .content_hash = {:#018x}u, .modified_unix_seconds = "
          "0}}}},\n",
          string_literal(file.key), file.size_bytes == 0 ? "nullptr" : fmt::format("file_{}", i),
          file.size_bytes, file.content_hash);
    }
    out += fmt::format("}};\n\n}}  // namespace\nconstinit embedded_table const {}{{files}};\n", table);
  }
  out += "}  // namespace morgana::app\n";
  return out;
}

outcome<embedded_folder> read_embedded_folder(fs::path const& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    return fail({.code = "no-folder",
                 .message = fmt::format("the folder `{}`, which is to be embedded, does not exist",
                                        folder.string())});
  }
  embedded_folder out;
  if (auto done = read_below(folder, "", out); !done) return fail(std::move(done));
  std::ranges::sort(out.files, [](auto const& left, auto const& right) {
    return std::ranges::lexicographical_compare(left.key, right.key, [](char a, char b) {
      return static_cast<unsigned char>(a) < static_cast<unsigned char>(b);
    });
  });
  return out;
}

}  // namespace morgana::driver
