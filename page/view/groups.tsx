/** Groups, and how far each is behind. */
import { lagText } from '../model/words.ts';
import type { GroupsSeen } from '../snapshot.ts';

export function Groups({ groups }: { readonly groups: GroupsSeen | null }) {
  if (groups === null || (groups.groups.length === 0 && groups.fault === '')) return null;
  return (
    <section class="groups" aria-label="groups">
      <h2>Groups</h2>
      {groups.fault !== '' && <p class="fault">{groups.fault}</p>}
      {groups.groups.length > 0 && (
        <table>
          <thead>
            <tr>
              <th scope="col">Group</th>
              <th scope="col">Topic</th>
              <th scope="col">Behind</th>
            </tr>
          </thead>
          <tbody>
            {groups.groups.flatMap(({ group, topics, fault }) =>
              topics.length === 0
                ? [
                    <tr key={group}>
                      <td>{group}</td>
                      <td>–</td>
                      <td>{fault}</td>
                    </tr>,
                  ]
                : topics.map((lag) => (
                    <tr key={`${group}/${lag.topic}`}>
                      <td>{group}</td>
                      <td>{lag.topic}</td>
                      <td>{lagText(lag)}</td>
                    </tr>
                  )),
            )}
          </tbody>
        </table>
      )}
      {groups.more > 0 && <p class="hint">{`${groups.more} more: tidemark group list`}</p>}
    </section>
  );
}
