// SPDX-License-Identifier: GPL-2.0-or-later
// {fmt}'s own code, compiled once. Debian ships no static library of it, the worker must link
// statically, and FMT_HEADER_ONLY would compile it into every file (three times the build).
// What is instantiated is what the library's own src/format.cc instantiates for char, but for
// locales: nothing here asks for one, and they would be a third of the capture kernel's init.
#define FMT_STATIC_THOUSANDS_SEPARATOR ','
#include <fmt/format-inl.h>

FMT_BEGIN_NAMESPACE
namespace detail {

template auto dragonbox::to_decimal(float x) noexcept -> dragonbox::decimal_fp<float>;
template auto dragonbox::to_decimal(double x) noexcept -> dragonbox::decimal_fp<double>;
template auto thousands_sep_impl(locale_ref) -> thousands_sep_result<char>;
template auto decimal_point_impl(locale_ref) -> char;
template void buffer<char>::append(const char*, const char*);
template void vformat_to(buffer<char>&, string_view, basic_format_args<FMT_BUFFER_CONTEXT(char)>,
                         locale_ref);

}  // namespace detail
FMT_END_NAMESPACE
