// SPDX-License-Identifier: GPL-2.0-or-later
// The formats in which dumps are written and the codecs of their pages, with their names on the
// command line, in the worker's messages and in JSON.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace vmcore {

enum class DumpFormat : std::uint8_t { kdump, elf };
enum class Codec : std::uint8_t { none, zlib, lzo, snappy, zstd };

// In the order in which help lists them.
inline constexpr std::array<std::pair<DumpFormat, std::string_view>, 2> kFormatNames{
    {{DumpFormat::kdump, "kdump"}, {DumpFormat::elf, "elf"}}};
inline constexpr std::array<std::pair<Codec, std::string_view>, 5> kCodecNames{
    {{Codec::zstd, "zstd"},
     {Codec::zlib, "zlib"},
     {Codec::lzo, "lzo"},
     {Codec::snappy, "snappy"},
     {Codec::none, "none"}}};

std::string_view format_name(DumpFormat format);
std::string_view codec_name(Codec codec);
std::optional<DumpFormat> format_from_name(std::string_view name);
std::optional<Codec> codec_from_name(std::string_view name);

}  // namespace vmcore
