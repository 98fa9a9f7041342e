"""The CPU figures as one SVG: a panel per workload, a bar per contender, a whisker for the range."""
from html import escape

from . import goals
from .workloads import BY_NAME

COLUMNS, PANEL, GAP, LABEL, BAR, TOP = 3, 330, 26, 66, 18, 74
COLORS = {"weir": "#0b6e4f", "relay": "#b8bec6"}
OTHER, TEXT, FAINT = "#8aa4c8", "#1d2733", "#66717e"


def _text(x, y, text, size=12, color=TEXT, anchor="start", weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{color}" text-anchor="{anchor}" '
            f'font-weight="{weight}">{escape(text)}</text>')


def _number(v):
    return f"{v:,.0f}" if v >= 100 else f"{v:.1f}"


def _panel(x, y, name, row, contenders):
    """The relay's line is drawn only where it did the same work as the others."""
    out = [_text(x, y, BY_NAME[name].title, 13, weight="bold")]
    shown = [c for c in contenders if goals.usable(row.get(c)) and
             (c != "relay" or BY_NAME[name].for_relay() is BY_NAME[name])]
    if not shown:
        return out
    # One slow contender must not flatten the others: its bar is cut, and says so.
    values = sorted(row[c]["median"] for c in shown)
    most = min(values[-1], 2.2 * values[len(values) // 2]) * 1.02
    width = PANEL - LABEL - 60
    for i, c in enumerate(shown):
        cell, top = row[c], y + 12 + i * (BAR + 5)
        cut = cell["median"] > most
        length = width * min(cell["median"] / most, 1)
        color = COLORS.get(c, OTHER)
        out.append(_text(x + LABEL - 8, top + 13, c, 12, TEXT if c == "weir" else FAINT, "end",
                         "bold" if c == "weir" else "normal"))
        out.append(f'<rect x="{x + LABEL}" y="{top}" width="{length:.1f}" height="{BAR}" rx="2" fill="{color}"'
                   + (' opacity="0.45"' if cell["disturbed"] else "") + "/>")
        end = length
        if not cut and cell["counted"] > 1:
            low, high = (width * min(cell[k] / most, 1.05) for k in ("low", "high"))
            end = max(end, high)
            out.append(f'<path d="M{x + LABEL + low:.1f} {top + BAR / 2}H{x + LABEL + high:.1f}" stroke="{TEXT}" '
                       'stroke-width="1.2"/>')
        if cut:
            at = x + LABEL + length - 16
            out.append(f'<path d="M{at} {top + BAR + 2}l5 -{BAR + 4}h5l-5 {BAR + 4}z" fill="#fff"/>')
        out.append(_text(x + LABEL + end + 5, top + 13, _number(cell["median"]), 12,
                         TEXT if c == "weir" else FAINT, weight="bold" if c == "weir" else "normal"))
    return out


def cpu(results):
    rows, contenders = results["cpu"], results["contenders"]
    names = list(rows)
    height = 12 + len(contenders) * (BAR + 5) + 34
    lines = (len(names) + COLUMNS - 1) // COLUMNS
    columns = min(COLUMNS, len(names))
    w, h = columns * PANEL + (columns + 1) * GAP, TOP + lines * height + 10
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}" viewBox="0 0 {w} {h}" '
           'font-family="system-ui, Helvetica, Arial, sans-serif">',
           f'<rect width="{w}" height="{h}" fill="#fff"/>',
           _text(GAP, 30, "CPU per request, µs: less is better", 17, weight="bold"),
           _text(GAP, 48, "One worker each; median and range of the rounds. The relay copies bytes: the floor."
                 + (" Pale: disturbed." if any(c.get("disturbed") for r in rows.values() for c in r.values()) else ""),
                 12, FAINT)]
    for i, name in enumerate(names):
        x, y = GAP + (i % COLUMNS) * (PANEL + GAP), TOP + 8 + (i // COLUMNS) * height
        out += _panel(x, y, name, rows[name], contenders)
    return "\n".join([*out, "</svg>", ""])
