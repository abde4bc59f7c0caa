"""Open or contradictory points of the vendor's documents, as switches; each product sets its defaults."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

FOREIGN_HOST = "https://graph.elsewhere.example:8443"
_FORMS_WITHOUT_LINK = ("none", "empty", "null")


class Quirks(BaseModel):
    """The behaviour of one product's server; some quirks exist only for products that list them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first_index: Literal[0, 1] = Field(default=0, description="The index of the first page.")
    link: Literal[
        "none",
        "empty",
        "null",
        "absolute",
        "relative",
        "relative_without_prefix",
        "query",
        "bare_query",
        "token",
        "raw_token",
    ] = Field(
        default="absolute",
        description="What the link field holds while pages follow; none leaves the field out. bare_query has "
        "neither '?' nor filters: PageIndex=2&pageSize=100. raw_token is base64 that is not percent-encoded.",
    )
    last_link: Literal["none", "empty", "null"] = Field(
        default="empty", description="What it holds on the last page."
    )
    links_beyond_end: bool = Field(
        default=False, description="The last page links to one more; beyond_end says what is there."
    )
    token_parameter: str = Field(
        default="skiptoken", description="The parameter that takes a token link back."
    )
    foreign_link: bool | str = Field(
        default=False, description=f"Links name another host: a base URL, or true for {FOREIGN_HOST}."
    )
    repeat_link: bool = Field(default=False, description="Every page links to itself, for ever.")
    link_overlap: int = Field(
        default=0, ge=0, description="aos_scan: rows that a link asks for again; the page's sample has 1."
    )
    link_key: Literal["nextLink", "nextlink"] = Field(
        default="nextLink", description="iaas_paas: the link's name, in the sample and in the table."
    )
    max_page_size: int | None = Field(default=None, ge=1, description="The largest page; null is no limit.")
    oversize: Literal["clamp", "refuse"] = Field(
        default="clamp", description="What becomes of a larger pageSize."
    )
    page_lengths: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(),
        description="How many rows the pages have in turn, whatever size is asked for; the list begins again "
        "at its end. Empty: as many as are asked for.",
    )
    sends_everything: bool = Field(
        default=False, description="Every page holds all rows, whatever page and size are asked for."
    )
    beyond_end: Literal["empty", "last_page", 204, 400, 404, 416] = Field(
        default="empty",
        description="What comes for a page behind the last: no rows, the last page again, or this status.",
    )
    total: Literal["match", "page", "absent"] = Field(
        default="match", description="The total counts all matching rows, this page's rows, or is left out."
    )
    total_off_by: int = Field(default=0, description="Added to the total.")
    repeat_rows: int = Field(default=1, ge=1, description="How often each row is listed.")
    arrivals_per_page: int = Field(
        default=0, ge=0, description="Jobs that start just before each page is read."
    )
    latency_ms: float = Field(default=0, ge=0, description="Milliseconds that every answer takes longer.")
    window_filters_by: Literal["start", "finish", "overlap"] = Field(
        default="start", description="What must lie in the time window, both of its ends included."
    )
    filters_after_paging: bool = Field(
        default=False,
        description="Pages are cut from all jobs of the window, and what is not asked for is then taken out "
        "of each; the total counts what is asked for.",
    )
    ignored_parameters: tuple[str, ...] = Field(
        default=(),
        description="The request's parameters that the server does not heed, by the vendor's names: filters, "
        "startTime, finishTime, the page's number or size, the customer in the path.",
    )
    row_extra: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="Fields merged into every row, over its own; a job's own extra goes over them.",
    )
    row_omit: tuple[str, ...] = Field(
        default=(), description="Fields left out of every row in which no job's own extra has them."
    )
    no_finish: Literal["null", "empty", "n/a", "absent", "year_1"] = Field(
        default="null", description="How a row says that its job has not finished."
    )
    state_spelling: Literal["labels", "names"] = Field(
        default="labels", description="m365, m365_legacy: 'Finished with Exception' or 'FinishedException'."
    )
    count_names: Literal["sample", "count", "number"] = Field(
        default="sample",
        description="m365: totalCount or totalNumber; sample is the first in lists, the second in details.",
    )
    no_start: Literal["null", "empty", "n/a", "absent", "year_1", "planned"] = Field(
        default="null", description="iaas_paas, elements: the start of a job that waits for it."
    )
    state_key: Literal["status", "state"] = Field(
        default="status",
        description="iaas_paas, salesforce: the state's name; state in an older page, and in a sample.",
    )
    shows_organization: bool = Field(
        default=True,
        description="salesforce: rows have organizationId, as in the table; the sample's do not.",
    )
    casing: Literal["pascal", "camel"] = Field(
        default="pascal", description="m365_legacy: TotalCount or totalCount."
    )

    activity_form: Literal["nested", "flat"] = Field(
        default="nested",
        description="m365: unusual activity has its rows in data.data, as in the sample, or in data.",
    )

    def ignores(self, parameter: str) -> bool:
        """Tell whether the server ignores a parameter.

        :param parameter: the parameter's name; its case does not matter.
        """
        return any(name.casefold() == parameter.casefold() for name in self.ignored_parameters)

    @model_validator(mode="after")
    def _links_need_a_form(self) -> Self:
        if self.link in _FORMS_WITHOUT_LINK and (
            self.foreign_link or self.repeat_link or self.links_beyond_end
        ):
            raise ValueError(
                "foreign_link, repeat_link and links_beyond_end need a link form that links, "
                f"not {self.link!r}"
            )
        return self


PRODUCT_QUIRKS = frozenset(
    {
        "activity_form",
        "casing",
        "count_names",
        "link_key",
        "link_overlap",
        "no_start",
        "shows_organization",
        "state_key",
        "state_spelling",
    }
)
"""Quirks of single products: only products that list them in ``own_quirks`` have them."""
