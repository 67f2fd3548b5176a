// What of HTTP an image has: constants of the whole image, which the generated main defines as unikernel.toml says
// ([choices.morgana-http] parser = false), as those of morgana/net/features.hpp are.
#pragma once

namespace morgana::http::features {

/// The parser (llhttp), which reads every request there is. Without it a server takes plain ones alone (plain_only.cpp):
/// GET and HEAD by HTTP/1.1 or 1.0 without a body. Each other is answered (501 a method or a transfer coding, 413 a body,
/// 505 a version, 400 what is malformed), and its connection ends. body_reader gives the end at once.
extern bool const parser;

}  // namespace morgana::http::features
