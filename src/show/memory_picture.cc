// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/show/memory_picture.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <vector>

#include "src/base/units.h"
#include "src/image/page.h"
#include "src/show/memory_layers.h"
#include "src/show/memory_text.h"
#include "src/show/xml_text.h"

namespace vmcore::show {
namespace {

constexpr std::uint64_t kCells = 64;  // a row
constexpr std::size_t kMostText = 120;
constexpr std::size_t kMostTip = 400;

// Lengths in SVG's user units.
constexpr double kMargin = 32;
constexpr double kLeft = 176;  // of the cells; the addresses stand before them
constexpr double kTop = 112;
constexpr double kCellStep = 13, kCellWidth = 12.2;
constexpr double kRowStep = 16, kRowHeight = 14;
constexpr double kGap = 34;  // for a hole between rows
constexpr double kLegend = kLeft + kCells * kCellStep + 40;
constexpr double kLegendWidth = 364;
constexpr double kWidth = kLegend + kLegendWidth + kMargin;

// A length, to a tenth of a unit.
std::string length(double value) { return fmt::format("{:.6g}", std::round(value * 10) / 10); }

// An address without its fraction being cut: "1.5 GiB", "1984 MiB".
std::string round_size(std::uint64_t address) {
  const unsigned shift = address % (1U << 28) == 0 ? 30 : address % (1U << 18) == 0 ? 20 : 10;
  return fmt::format("{:.12g} {}iB",
                     std::ldexp(static_cast<double>(address), -static_cast<int>(shift)),
                     shift == 30   ? 'G'
                     : shift == 20 ? 'M'
                                   : 'K');
}

enum class Anchor { start, middle, end };

class Drawing {
 public:
  explicit Drawing(const report::MemoryReport& report)
      : report_(report), layers_(layers_of(report)) {}

  std::string draw(const PictureTitle& title) {
    heading(title);
    const double rows_end = rows();
    const double height = std::max(rows_end, legend()) + kMargin;
    const std::string name = xml_text(title.name, kMostText);
    return fmt::format(
               "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
               "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" "
               "height=\"{1}\" role=\"img\" font-family=\"system-ui, 'Segoe UI', Roboto, 'DejaVu "
               "Sans', Arial, sans-serif\" font-size=\"12\" fill=\"#24292f\">\n"
               "<title>Memory of {2}</title>\n"
               "<rect width=\"{0}\" height=\"{1}\" fill=\"#fff\"/>\n",
               length(kWidth), length(height), name) +
           out_ + "</svg>\n";
  }

 private:
  std::uint64_t row_size() const { return report_.bin_size * kCells; }

  void text(double x, double y, std::string_view content, std::string_view attributes = "",
            Anchor anchor = Anchor::start) {
    constexpr std::array kAnchors{"", " text-anchor=\"middle\"", " text-anchor=\"end\""};
    out_ += fmt::format("<text x=\"{}\" y=\"{}\"{}{}{}>{}</text>\n", length(x), length(y),
                        kAnchors[static_cast<std::size_t>(anchor)], attributes.empty() ? "" : " ",
                        attributes, xml_text(content, kMostText));
  }

  void box(double x, double y, double width, double height, std::string_view attributes) {
    out_ += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" {}/>\n", length(x),
                        length(y), length(width), length(height), attributes);
  }

  void badge(double& right, std::string_view word, std::string_view meaning) {
    const double width = 7.2 * static_cast<double>(word.size() + meaning.size()) + 24;
    right -= width;
    box(right, 24, width, 26, "rx=\"13\" fill=\"#fff3cd\" stroke=\"#b38600\"");
    text(right + width / 2, 41, fmt::format("{}: {}", word, meaning),
         "font-weight=\"600\" fill=\"#6b5000\"", Anchor::middle);
    right -= 10;
  }

  void heading(const PictureTitle& title) {
    text(kMargin, 46, title.name,
         fmt::format("font-size=\"{}\" font-weight=\"700\"", title.name.size() > 48 ? 13 : 24));
    text(kMargin, 70,
         fmt::format("Linux {} \u00b7 {} of RAM by guest-physical address \u00b7 drawn {}",
                     report_.release, human_size(report_.memory * kPageSize), title.drawn),
         "fill=\"#57606a\" font-size=\"13\"");
    double right = kWidth - kMargin;
    if (report_.torn) {
      badge(right, "TORN", "the guest ran while its memory was read");
    }
    if (report_.incomplete) {
      badge(right, "INCOMPLETE", "memory is missing");
    }
  }

  // The lengths along a row.
  void scale() {
    for (std::uint64_t cell = 0; cell < kCells; cell += kCells / 4) {
      const double x = kLeft + static_cast<double>(cell) * kCellStep;
      text(x, kTop - 8, fmt::format("+{}", human_size(cell * report_.bin_size)),
           "font-size=\"10\" fill=\"#8b949e\"");
    }
  }

  // Returns where they end.
  double rows() {
    scale();
    double y = kTop;
    std::uint64_t end = 0;  // of what was drawn
    for (std::size_t first = 0; first < report_.bins.size();) {
      const std::uint64_t start = report_.bins[first].start / row_size() * row_size();
      std::size_t last = first;
      while (last < report_.bins.size() && report_.bins[last].start - start < row_size()) {
        ++last;
      }
      if (start > end) {
        hole(y, end, start);
      }
      row(y, start, std::span(report_.bins).subspan(first, last - first));
      y += kRowStep;
      end = start + row_size();
      first = last;
    }
    return y;
  }

  void hole(double& y, std::uint64_t begin, std::uint64_t end) {
    const double middle = y + kGap / 2 - 1;
    const double width = static_cast<double>(kCells) * kCellStep;
    out_ += fmt::format(
        "<path d=\"M{} {}h{}\" stroke=\"#afb8c1\" stroke-dasharray=\"2 5\" fill=\"none\"/>\n",
        length(kLeft), length(middle), length(width));
    box(kLeft + width / 2 - 120, middle - 9, 240, 18, "fill=\"#fff\"");
    text(kLeft + width / 2, middle + 4,
         fmt::format("hole of {} from {:#x}", human_size(end - begin), begin),
         "font-size=\"11\" font-style=\"italic\" fill=\"#57606a\"", Anchor::middle);
    y += kGap;
  }

  void row(double y, std::uint64_t start, std::span<const report::BinUse> bins) {
    if (start % (8 * row_size()) == 0) {
      text(kMargin, y + 11, round_size(start), "font-size=\"11\" font-weight=\"600\"");
    }
    text(kLeft - 10, y + 11, fmt::format("{:#x}", start),
         "font-size=\"10\" fill=\"#57606a\" font-family=\"monospace\"", Anchor::end);
    std::vector<std::string> paths(layers_.size());
    std::string tips;
    for (const report::BinUse& bin : bins) {
      const std::uint64_t number = (bin.start - start) / report_.bin_size;
      const double x = kLeft + kCellStep * static_cast<double>(number);
      cell(x, y, bin, paths);
      tips += fmt::format(
          "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"><title>{}</title></rect>\n",
          length(x), length(y), length(kCellWidth), length(kRowHeight), tip(bin));
    }
    for (std::size_t i = 0; i < paths.size(); ++i) {
      if (!paths[i].empty()) {
        out_ += fmt::format("<path fill=\"{}\" d=\"{}\"/>\n", layers_[i].colour, paths[i]);
      }
    }
    out_ += "<g fill=\"none\" pointer-events=\"all\">\n" + tips + "</g>\n";
  }

  // Adds the cell's part of each layer to the layer's path.
  void cell(double x, double y, const report::BinUse& bin, std::vector<std::string>& paths) const {
    const std::uint64_t room = report_.bin_size / kPageSize;
    const double scale = kRowHeight / static_cast<double>(room);
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const std::uint64_t above = below + layers_[i].pages_of(bin);
      const std::string from = length(y + kRowHeight - scale * static_cast<double>(below));
      const std::string to = length(y + kRowHeight - scale * static_cast<double>(above));
      if (from != to) {
        paths[i] += fmt::format("M{} {}h{}V{}h-{}z", length(x), from, length(kCellWidth), to,
                                length(kCellWidth));
      }
      below = above;
    }
  }

  std::string tip(const report::BinUse& bin) const {
    std::string text = fmt::format("{:#x}, {}:", bin.start, human_size(report_.bin_size));
    const std::uint64_t room = report_.bin_size / kPageSize;
    for (const Layer& layer : layers_) {
      if (const std::uint64_t pages = layer.pages_of(bin); pages != 0) {
        text += fmt::format(" {} {},", layer.name, percent(pages, room));
      }
    }
    text.pop_back();
    return xml_text(text, kMostTip);
  }

  // Returns where it ends.
  double legend() {
    double y = kTop - 8;
    text(kLegend, y, "Memory by class", "font-size=\"14\" font-weight=\"700\"");
    y += 14;
    total_bar(y);
    y += 46;
    for (const Layer& layer : layers_) {
      legend_line(y, layer);
      y += 24;
    }
    box(kLegend, y - 14, kLegendWidth, 1, "fill=\"#d0d7de\"");
    y += 6;
    amount(y, "RAM", report_.memory, "font-weight=\"700\"");
    amount(y += 24, "a dump at level 31 keeps", report_.kept_at_31, "");
    if (report_.excluded_before != 0) {
      amount(y += 24, "not in the file", report_.excluded_before, "");
    }
    y += 34;
    for (const std::string& line :
         {fmt::format("A cell is {}, a row {}.", human_size(report_.bin_size),
                      human_size(row_size())),
          std::string("A cell is filled from below by what its pages are used"),
          std::string("for; white is a hole.")}) {
      text(kLegend, y, line, "font-size=\"11\" fill=\"#57606a\"");
      y += 17;
    }
    return y;
  }

  void total_bar(double y) {
    double x = kLegend;
    const double all = static_cast<double>(std::max<std::uint64_t>(1, report_.memory));
    for (const Layer& layer : layers_) {
      const double width = kLegendWidth * static_cast<double>(layer.pages) / all;
      box(x, y, width, 22, fmt::format("fill=\"{}\"", layer.colour));
      x += width;
    }
  }

  void legend_line(double y, const Layer& layer) {
    box(kLegend, y - 11, 14, 14,
        fmt::format("rx=\"2\" fill=\"{}\" stroke=\"#24292f\" stroke-opacity=\"0.25\"",
                    layer.colour));
    text(kLegend + 24, y, layer.title, "font-size=\"13\"");
    numbers(y, layer.pages, "");
  }

  void amount(double y, std::string_view what, std::uint64_t pages, std::string_view attributes) {
    text(kLegend, y, what, fmt::format("font-size=\"13\" {}", attributes));
    numbers(y, pages, attributes);
  }

  void numbers(double y, std::uint64_t pages, std::string_view attributes) {
    const std::string all = fmt::format("font-size=\"13\" {}", attributes);
    text(kLegend + kLegendWidth - 60, y, human_size(pages * kPageSize), all, Anchor::end);
    text(kLegend + kLegendWidth, y, percent(pages, report_.memory),
         "font-size=\"13\" fill=\"#57606a\"", Anchor::end);
  }

  const report::MemoryReport& report_;
  std::vector<Layer> layers_;
  std::string out_;
};

}  // namespace

std::string draw_memory(const report::MemoryReport& report, const PictureTitle& title) {
  return Drawing(report).draw(title);
}

}  // namespace vmcore::show
