"""A small research agent: plan, look in three places at once, write, and improve until the editor is content.

Shows async tasks that run side by side on one event loop, a flaky service that is retried, a loop with an end in sight,
and Pydantic models from task to task. Needs `pip install "sayiir[pydantic]"`.
"""

import asyncio

from pydantic import BaseModel, Field

from sayiir import Flow, LoopResult, RetryPolicy, get_task_context, run_workflow, task


class Question(BaseModel):
    text: str = Field(min_length=3)


class Finding(BaseModel):
    source: str
    text: str
    trust: float = Field(ge=0, le=1)


class Findings(BaseModel):
    web: Finding
    papers: Finding
    notes: Finding


class Draft(BaseModel):
    text: str
    findings: list[Finding]
    version: int = 1


under_way = set[str]()
all_under_way = asyncio.Event()


async def look(source: str, question: Question, trust: float) -> Finding:
    """Stand for a call over the network, which is over only when all three are under way."""
    under_way.add(source)
    if len(under_way) == 3:
        all_under_way.set()
    await all_under_way.wait()
    return Finding(source=source, text=f"{question.text}: {source} says yes", trust=trust)


@task
async def web(question: Question) -> Finding:
    return await look("web", question, 0.4)


@task(retries=RetryPolicy(max_retries=3, initial_delay_secs=0.01), retry_on=ConnectionError)
async def papers(question: Question) -> Finding:
    finding = await look("papers", question, 0.9)
    context = get_task_context()
    if context is not None and context.attempt < 3:
        raise ConnectionError("the library is busy")
    return finding


@task
async def notes(question: Question) -> Finding:
    return await look("notes", question, 0.7)


@task
def write(found: Findings) -> Draft:
    findings = sorted([found.web, found.papers, found.notes], key=lambda finding: -finding.trust)
    return Draft(text=findings[0].text, findings=findings)


@task
def improve(draft: Draft) -> LoopResult[Draft]:
    if draft.version == len(draft.findings):
        return LoopResult.done(draft)
    following = draft.findings[draft.version]
    text = f"{draft.text}; {following.source} agrees ({following.trust:.0%})"
    return LoopResult.again(Draft(text=text, findings=draft.findings, version=draft.version + 1))


agent = (
    Flow("research").fork().branch(web).branch(papers).branch(notes).join(write).loop(improve, max_iterations=5).build()
)


def main() -> None:
    report = Draft.model_validate(run_workflow(agent, Question(text="Is it durable?")))
    print(report.text)
    print("version", report.version, "from", ", ".join(finding.source for finding in report.findings))


if __name__ == "__main__":
    main()

"""Prints:
Is it durable?: papers says yes; notes agrees (70%); web agrees (40%)
version 3 from papers, notes, web
"""
